//! PUBLISH and SPUBLISH: a message to all who listen to a channel.

use std::sync::Arc;

use super::{Error, Session};
use crate::protocol::{Request, Value};
use crate::pubsub::Message;
use crate::server::Server;

pub(super) fn publish(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Integer(server.pubsub.publish(&message(request)) as i64))
}

pub(super) fn spublish(_: &mut Session, server: &Server, request: Request<'_>) -> Result<Value, Error> {
    Ok(Value::Integer(server.pubsub.publish_to_shard(&message(request)) as i64))
}

fn message(request: Request<'_>) -> Arc<Message> {
    Message::new(&[request.get(1).unwrap_or_default()], request.get(2).unwrap_or_default())
}
