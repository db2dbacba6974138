//! `info`: the host's report about itself, as its text or as one document.

use super::output::Form;
use super::{Exit, Failure, Options, Output, request};
use kvstore_client::Value;
use serde_json::{Map, Value as Json};

#[derive(Debug, clap::Args)]
pub(crate) struct Info {
    /// Only these sections
    #[arg(value_name = "SECTION")]
    sections: Vec<String>,
}

impl Info {
    pub(crate) fn run(self, options: &Options) -> Result<Exit, Failure> {
        let mut words = vec![b"INFO".to_vec()];
        words.extend(self.sections.into_iter().map(String::into_bytes));
        let mut client = options.connected_client()?;
        let mut output = Output::once(options);
        if output.form() != Form::Json {
            return request::run_on(client, words, &mut output);
        }
        match client.call_repeatable(&words) {
            Ok(reply) => match reply.as_bytes() {
                Some(text) => output.line(&document(&String::from_utf8_lossy(text)).to_string())?,
                None => output.reply(&reply)?,
            },
            Err(error) => {
                if let Some(reply) = error.reply() {
                    output.reply(&Value::Error(reply.clone()))?;
                    output.flush()?;
                }
                return Err(error.into());
            }
        }
        output.flush()?;
        Ok(Exit::Done)
    }
}

/// `# Section` lines become keys in small letters, `name:value` lines the members below them; all values are strings.
fn document(text: &str) -> Json {
    let mut sections = Map::new();
    let mut section = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix('#') {
            section = name.trim().to_lowercase();
        } else if let Some((name, value)) = line.split_once(':') {
            let members = sections.entry(section.clone()).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(members) = members {
                members.insert(name.to_owned(), Json::from(value));
            }
        }
    }
    Json::Object(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_members_become_objects() {
        let text = "# Server\r\nname:kv\r\npath:a:b\r\n\r\n# Memory Use\r\nused:1\r\n";
        let expected = r#"{"memory use":{"used":"1"},"server":{"name":"kv","path":"a:b"}}"#;
        assert_eq!(document(text).to_string(), expected);
    }
}
