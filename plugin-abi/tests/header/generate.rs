//! Generate: makes the text of `include/kvstore.h` from `src/raw`, one section for each file.

use std::fs;
use std::path::{Path, PathBuf};

/// The files in the order in which their types build on each other.
const SECTIONS: [&str; 7] = ["status", "identity", "entry", "op", "handoff", "host", "symbols"];

/// Where comment lines end, in columns.
const WIDTH: usize = 100;

const OPENING: &str = r#"
#ifndef KVSTORE_H
#define KVSTORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Makes a symbol visible in a library that is built with -fvisibility=hidden.
#define KV_EXPORT __attribute__((visibility("default")))

// One open instance of an engine: whatever the engine makes of it. Define `struct kv_engine` as
// you like.
typedef struct kv_engine kv_engine;
"#;

const CLOSING: &str = r#"
#ifdef __cplusplus
}
#endif

#endif // KVSTORE_H
"#;

/// The one constant that cbindgen cannot make: an array of bytes.
const MAGIC: &str = "// First bytes of every identity.\n#define KV_ABI_MAGIC \"KVSTORE\"\n\n";

/// The one symbol that cbindgen leaves out: a constant.
const IDENTITY: &str = "// What this library is. Required.\nextern KV_EXPORT const kv_identity kv_abi;\n\n";

/// The header as it should be.
pub(crate) fn header() -> String {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(home.join("cbindgen.toml")).unwrap();
    let (preamble, helpers) = (config.header.take().unwrap(), config.trailer.take().unwrap());
    let sections: String = SECTIONS.iter().map(|name| section(&config, name)).collect();
    format!("{}\n{OPENING}{}\n\n{}\n{CLOSING}", preamble.trim(), reflow(&sections).trim_end(), helpers.trim())
}

/// The path of a file of the contract.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/raw").join(name).with_extension("rs")
}

fn section(config: &cbindgen::Config, name: &str) -> String {
    let path = source(name);
    let rust = fs::read_to_string(&path).unwrap();
    let mut config = config.clone();
    // cbindgen leaves out what no function of the same file uses, unless it is named.
    config.export.include = rust.lines().filter_map(type_name).map(str::to_owned).collect();
    let bindings = cbindgen::Builder::new().with_config(config).with_src(&path).generate().unwrap();
    let mut c = Vec::new();
    bindings.write(&mut c);
    let c = c_names(&String::from_utf8(c).unwrap());
    let heading = rust.lines().next().unwrap().trim_start_matches("//! ");
    let rule = "-".repeat(WIDTH - 3);
    let extra = match name {
        "identity" => MAGIC,
        "symbols" => IDENTITY,
        _ => "",
    };
    format!("\n// {rule}\n// {heading}\n// {rule}\n\n{extra}{}\n", c.trim())
}

/// The name of the type that a line of Rust defines.
fn type_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub type "))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// Undoes what Rust's grammar forced on names (`type` is a keyword, a function that may be missing is no function type), and
/// writes each type in one way.
fn c_names(text: &str) -> String {
    let update = "void (*update)(void *ctx, const kv_entry *current, kv_decision *decision);";
    let text = text
        .replace("const struct kv_", "const kv_")
        .replace(", struct kv_", ", kv_")
        .replace("    struct kv_", "    kv_")
        .replace(&format!("    {update}"), "    kv_update_fn update;")
        .replace("\nextern ", "\nKV_EXPORT ");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("type_") {
        let (before, after) = (&rest[..at], &rest[at + "type_".len()..]);
        let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
        let whole = !after.starts_with(part_of_word) && !before.ends_with(part_of_word);
        out.push_str(before);
        out.push_str(if whole { "type" } else { "type_" });
        rest = after;
    }
    out + rest
}

/// Fills comment paragraphs to the width: the sources are wider than what fits beside other code.
fn reflow(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut paragraph: Option<(usize, String)> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let comment = line.trim_start().strip_prefix("//").map(str::trim);
        let starts =
            |words: &str| ["Called by:", "Keeps:", "Returns:", "---"].iter().any(|w| words.starts_with(w));
        match (comment, &mut paragraph) {
            (Some(words), Some((_, open)))
                if !words.is_empty() && !starts(words) && !open.starts_with("---") =>
            {
                open.push(' ');
                open.push_str(words);
            }
            _ => {
                fill(&mut out, paragraph.take());
                match comment {
                    Some(words) if !words.is_empty() => paragraph = Some((indent, words.to_owned())),
                    _ => wrap(&mut out, line.trim_end()),
                }
            }
        }
    }
    fill(&mut out, paragraph);
    out
}

/// Writes a line of code: a negative constant gets parentheses, and a function's arguments that are too long for it go on below the first one.
fn wrap(out: &mut String, line: &str) {
    if let Some((define, number)) = line.split_once(" -").filter(|(define, _)| define.starts_with("#define"))
    {
        out.push_str(&format!("{define} (-{number})\n"));
        return;
    }
    let mut rest = line;
    let mut indent = String::new();
    while indent.len() + rest.len() > WIDTH {
        let room = &rest[..WIDTH - indent.len()];
        let (Some(open), Some(end)) = (line.find('('), room.rfind(", ")) else { break };
        let (now, later) = rest.split_at(end + 1);
        out.push_str(&format!("{indent}{now}\n"));
        indent = " ".repeat(open + 1);
        rest = later.trim_start();
    }
    out.push_str(&format!("{indent}{rest}\n"));
}

fn fill(out: &mut String, paragraph: Option<(usize, String)>) {
    let Some((indent, words)) = paragraph else { return };
    let start = " ".repeat(indent) + "//";
    let mut line = start.clone();
    for word in words.split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line.clone_from(&start);
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}
