//! INCRBYFLOAT: adds to a value that is a number in decimal, in the precision in which Redis does.

mod extended;

use plugin_abi::sdk::{Decision, Entry};

use super::{Context, Error, ReplyFn};
use crate::plugin::{Plan, Update};
use crate::protocol::{Request, Value};
use crate::pubsub::Event;
use extended::{Extended, Number};

const NOT_A_FLOAT: Error = Error::new("ERR value is not a valid float");
const NOT_FINITE: Error = Error::new("ERR increment would produce NaN or Infinity");

pub(super) fn incrbyfloat<'a>(
    plan: &mut Plan<'a>,
    request: Request<'a>,
    _: &Context<'_>,
) -> Result<ReplyFn, Error> {
    let delta = Number::parse(request.get(2).unwrap_or_default()).ok_or(NOT_A_FLOAT)?;
    plan.update(request.get(1).unwrap_or_default(), AddFloat { delta, digits: String::new() });
    Ok(ReplyFn::Updated)
}

struct AddFloat {
    delta: Number,
    digits: String,
}

impl AddFloat {
    fn sum(&self, current: Option<&Entry<'_>>) -> Result<Extended, Error> {
        let number = match current {
            None => Number::Finite(Extended::ZERO),
            Some(entry) => Number::parse(entry.value).ok_or(NOT_A_FLOAT)?,
        };
        match (number, self.delta) {
            (Number::Finite(number), Number::Finite(delta)) => number.add(delta).ok_or(NOT_FINITE),
            _ => Err(NOT_FINITE),
        }
    }
}

impl Update for AddFloat {
    fn decide(&mut self, current: Option<&Entry<'_>>) -> (Decision<'_>, Value) {
        match self.sum(current) {
            Err(error) => (Decision::Keep, error.into()),
            Ok(sum) => {
                self.digits = sum.to_string();
                let expiry_ms = current.map_or(0, |entry| entry.expiry_ms);
                let entry = Entry { value: self.digits.as_bytes(), expiry_ms, ..Entry::default() };
                (Decision::Replace(entry), Value::text(self.digits.as_str()))
            }
        }
    }

    fn stored(&self) -> &'static [Event] {
        const { &[Event::string("incrbyfloat")] }
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Rig, expect};

    const FLOAT: &str = "-ERR value is not a valid float";
    const FINITE: &str = "-ERR increment would produce NaN or Infinity";

    #[test]
    fn as_redis() {
        expect(&[
            ("SET k 10.50", "+OK"),
            ("INCRBYFLOAT k 0.1", "$4 10.6"),
            ("INCRBYFLOAT k -5", "$3 5.6"),
            ("INCRBYFLOAT k 5.0e3", "$22 5005.60000000000000009"),
            ("INCRBYFLOAT k 1e-4950", "$22 5005.60000000000000009"),
            ("INCRBYFLOAT k 0x10", "$22 5021.60000000000000009"),
            ("GET k", "$22 5021.60000000000000009"),
            ("SET k 3 EX 100", "+OK"),
            ("INCRBYFLOAT k 0.1", "$3 3.1"),
            ("INCRBYFLOAT k 0.2", "$3 3.3"),
            ("INCRBYFLOAT k -3.3", "$1 0"),
            ("TTL k", ":100"),
            ("INCRBYFLOAT new 1e18", "$19 1000000000000000000"),
            ("INCRBYFLOAT new 0.1", "$23 1000000000000000000.125"),
            ("INCRBYFLOAT big 123456789012345678901234567890", "$30 123456789012345678899921813504"),
            ("INCRBYFLOAT tiny -0", "$1 0"),
            ("INCRBYFLOAT tiny -1e-18", "$1 0"),
            ("INCRBYFLOAT tiny 1e-17", "$19 0.00000000000000001"),
            ("SET text x", "+OK"),
            ("INCRBYFLOAT text 1", FLOAT),
            ("INCRBYFLOAT text inf", FLOAT),
            ("GET text", "$1 x"),
            ("SET text \" 1\"", "+OK"),
            ("INCRBYFLOAT text 1", FLOAT),
            ("INCRBYFLOAT k", "-ERR wrong number of arguments for 'incrbyfloat' command"),
        ]);
    }

    #[test]
    fn what_is_no_number_or_has_no_end_changes_nothing() {
        let mut rig = Rig::new();
        for by in [
            "x", "nan", "NAN(1)", "\" 1\"", "\"1 \"", ".", "1e", "\"\"", "1e4933", "1e-5000", "0x", "--1",
            "1_0",
        ] {
            assert_eq!(rig.run(&format!("INCRBYFLOAT k {by}")), FLOAT, "{by}");
        }
        for by in ["inf", "-Infinity", "+INF"] {
            assert_eq!(rig.run(&format!("INCRBYFLOAT k {by}")), FINITE, "{by}");
        }
        rig.expect(&[
            ("EXISTS k", ":0"),
            ("SET k 1e4932", "+OK"),
            ("INCRBYFLOAT k 1e4932", FINITE),
            ("SET k inf", "+OK"),
            ("INCRBYFLOAT k -inf", FINITE),
            ("INCRBYFLOAT k 1", FINITE),
            ("GET k", "$3 inf"),
        ]);
    }
}
