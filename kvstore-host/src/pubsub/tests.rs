//! Tests of the registry: who gets what, in which order, and what is left when they go.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::protocol::{Encoder, Protocol};

#[derive(Debug, Default)]
struct Rings(Arc<AtomicUsize>);

impl Bell for Rings {
    fn ring(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Client {
    subscriber: Subscriber,
    rings: Arc<AtomicUsize>,
}

impl Client {
    fn new(id: u64) -> Self {
        Self::limited(id, Arc::default())
    }

    fn limited(id: u64, limits: Arc<OutputLimits>) -> Self {
        let rings = Arc::default();
        let mailbox = Mailbox::new(id, Box::new(Rings(Arc::clone(&rings))), limits);
        Self { subscriber: Subscriber::new(mailbox), rings }
    }

    fn mail(&self) -> String {
        let mut out = Vec::new();
        self.subscriber.deliver(usize::MAX, &mut Encoder::new(&mut out, Protocol::Resp3));
        String::from_utf8_lossy(&out).replace("\r\n", " ").trim_end().to_owned()
    }
}

fn publish(pubsub: &PubSub, channel: &str, payload: &str) -> usize {
    pubsub.publish(&Message::new(&[channel.as_bytes()], payload.as_bytes()))
}

#[test]
fn who_subscribed_gets_it_once_for_each_subscription() {
    let (pubsub, mut one, mut two) = (PubSub::default(), Client::new(1), Client::new(2));
    assert_eq!(publish(&pubsub, "a", "lost"), 0);
    assert!(pubsub.subscribe(&mut one.subscriber, Kind::Channel, b"a"));
    assert!(!pubsub.subscribe(&mut one.subscriber, Kind::Channel, b"a"), "it was already");
    assert!(pubsub.subscribe(&mut one.subscriber, Kind::Pattern, b"a*"));
    assert!(pubsub.subscribe(&mut two.subscriber, Kind::Pattern, b"a*"));
    assert!(pubsub.subscribe(&mut two.subscriber, Kind::Shard, b"a"));
    assert_eq!((pubsub.channels.len(), pubsub.patterns_len(), pubsub.shard_channels.len()), (1, 1, 1));
    assert_eq!(publish(&pubsub, "a", "x"), 3);
    assert_eq!(publish(&pubsub, "ab", "y"), 2);
    assert_eq!(publish(&pubsub, "b", "z"), 0);
    assert_eq!(pubsub.publish_to_shard(&Message::new(&[b"a"], b"s")), 1);
    assert_eq!(
        one.mail(),
        ">3 $7 message $1 a $1 x >4 $8 pmessage $2 a* $1 a $1 x >4 $8 pmessage $2 a* $2 ab $1 y"
    );
    let shard = ">3 $8 smessage $1 a $1 s";
    let patterns = ">4 $8 pmessage $2 a* $1 a $1 x >4 $8 pmessage $2 a* $2 ab $1 y";
    assert_eq!(two.mail(), format!("{patterns} {shard}"));
}

#[test]
fn nothing_is_left_of_a_client_that_leaves() {
    let (pubsub, mut one, mut two) = (PubSub::default(), Client::new(1), Client::new(2));
    for client in [&mut one, &mut two] {
        for kind in Kind::ALL {
            pubsub.subscribe(&mut client.subscriber, kind, b"a");
        }
        pubsub.monitors.add(&mut client.subscriber);
    }
    assert_eq!(pubsub.channels.listeners_len(b"a"), 2);
    publish(&pubsub, "a", "x");
    pubsub.leave(&mut one.subscriber);
    assert!(!one.subscriber.listens() && one.mail().is_empty());
    assert_eq!((publish(&pubsub, "a", "y"), pubsub.channels.listeners_len(b"a")), (2, 1));
    assert!(pubsub.unsubscribe(&mut two.subscriber, Kind::Channel, b"a"));
    assert!(!pubsub.unsubscribe(&mut two.subscriber, Kind::Channel, b"a"));
    pubsub.leave(&mut two.subscriber);
    assert_eq!((pubsub.channels.len(), pubsub.patterns_len(), pubsub.shard_channels.len()), (0, 0, 0));
    assert!(pubsub.channels.names().is_empty() && !pubsub.monitors.any());
}

#[test]
fn the_bell_rings_once_until_the_mail_is_taken() {
    let (pubsub, mut client) = (PubSub::default(), Client::new(1));
    pubsub.subscribe(&mut client.subscriber, Kind::Channel, b"a");
    for _ in 0..3 {
        publish(&pubsub, "a", "0123456789");
    }
    assert_eq!(client.rings.load(Ordering::Relaxed), 1);
    let mut out = Vec::new();
    client.subscriber.deliver(1, &mut Encoder::new(&mut out, Protocol::Resp2));
    assert_eq!(
        out, b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$10\r\n0123456789\r\n",
        "one, as there is room for no more"
    );
    publish(&pubsub, "a", "last");
    assert_eq!(client.rings.load(Ordering::Relaxed), 1, "there is still mail, and its worker knows");
    assert_eq!(client.mail().matches("message").count(), 3);
    publish(&pubsub, "a", "again");
    assert_eq!(client.rings.load(Ordering::Relaxed), 2);
}

#[test]
fn a_mailbox_that_nobody_empties_throws_all_away_and_says_so() {
    let limits = Arc::new(OutputLimits::default());
    limits.pubsub.set([1000, 0, 0]);
    let (pubsub, mut client) = (PubSub::default(), Client::limited(1, Arc::clone(&limits)));
    pubsub.subscribe(&mut client.subscriber, Kind::Channel, b"a");
    let now = std::time::Instant::now();
    let payload = "x".repeat(400);
    assert_eq!(publish(&pubsub, "a", &payload), 1);
    assert_eq!(client.subscriber.mailbox().note_unwritten(500, now), None);
    assert_eq!(publish(&pubsub, "a", &payload), 1, "it counts, and ends the subscriber");
    let why = client.subscriber.mailbox().note_unwritten(0, now).unwrap();
    assert!(why.contains("client-output-buffer-limit allows 1000"), "{why}");
    assert!(client.mail().is_empty() && client.subscriber.mailbox().is_waiting());
    publish(&pubsub, "a", "more");
    assert!(client.mail().is_empty());
}

#[test]
fn what_is_taken_but_not_written_counts() {
    let limits = Arc::new(OutputLimits::default());
    limits.pubsub.set([1000, 0, 0]);
    let (pubsub, mut client) = (PubSub::default(), Client::limited(1, limits));
    pubsub.subscribe(&mut client.subscriber, Kind::Channel, b"a");
    let payload = "x".repeat(800);
    publish(&pubsub, "a", &payload);
    assert!(client.mail().contains(&payload));
    publish(&pubsub, "a", &payload);
    assert_eq!(client.mail(), "", "overfull: the first one is not written yet");
}

#[test]
fn all_listeners_of_a_channel_see_one_order() {
    let pubsub = Arc::new(PubSub::default());
    let clients: Vec<Mutex<Client>> = (0..4).map(|id| Mutex::new(Client::new(id))).collect();
    for (index, client) in clients.iter().enumerate() {
        let kind = if index % 2 == 0 { Kind::Channel } else { Kind::Pattern };
        pubsub.subscribe(&mut client.lock().unwrap().subscriber, kind, b"a");
    }
    std::thread::scope(|scope| {
        for publisher in 0..4 {
            let pubsub = &pubsub;
            scope.spawn(move || {
                for number in 0..500 {
                    assert_eq!(publish(pubsub, "a", &format!("p{publisher}:{number}")), 4);
                }
            });
        }
    });
    let seen = |client: &Mutex<Client>| {
        let mail = client.lock().unwrap().mail();
        mail.split(' ')
            .filter(|word| word.starts_with('p') && word.contains(':'))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let first = seen(&clients[0]);
    assert_eq!(first.len(), 2000);
    for client in &clients[1..] {
        assert_eq!(seen(client), first);
    }
    for publisher in 0..4 {
        let own: Vec<_> =
            first.iter().filter(|word| word.starts_with(&format!("p{publisher}:"))).cloned().collect();
        assert_eq!(own, (0..500).map(|number| format!("p{publisher}:{number}")).collect::<Vec<_>>());
    }
}

#[test]
fn events_are_messages_on_two_channels() {
    let (pubsub, mut client) = (PubSub::default(), Client::new(1));
    pubsub.subscribe(&mut client.subscriber, Kind::Pattern, b"__key*__:*");
    pubsub.tell(Event::SET, b"k");
    assert_eq!(client.mail(), "", "nothing is told unless asked for");
    pubsub.classes.set(Classes::parse(b"KEA").unwrap());
    pubsub.tell(Event::SET, b"k");
    pubsub.tell(Event::KEYMISS, b"k");
    let mail = client.mail();
    assert!(mail.contains("$16 __keyspace@0__:k $3 set >4 "), "{mail}");
    assert!(mail.ends_with("$18 __keyevent@0__:set $1 k"), "{mail}");
}

#[test]
fn a_pattern_of_too_much_work_matches_nothing() {
    let (pubsub, mut one, mut two) = (PubSub::default(), Client::new(1), Client::new(2));
    let channel = "a".repeat(20_000);
    pubsub.subscribe(&mut one.subscriber, Kind::Pattern, format!("{}b", "*a".repeat(2_000)).as_bytes());
    pubsub.subscribe(&mut two.subscriber, Kind::Pattern, b"a*");
    assert_eq!(publish(&pubsub, &channel, "x"), 1);
}
