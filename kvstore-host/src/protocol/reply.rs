//! Reply: what a command may answer, in words that both protocols can carry.

/// The version of the protocol that a connection speaks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// What each connection starts with.
    #[default]
    Resp2,
    /// What `HELLO 3` asks for.
    Resp3,
}

impl Protocol {
    /// The protocol of that number, as in `HELLO 3`.
    pub const fn from_version(version: i64) -> Option<Self> {
        match version {
            2 => Some(Self::Resp2),
            3 => Some(Self::Resp3),
            _ => None,
        }
    }

    /// Its number: 2 or 3.
    pub const fn version(self) -> i64 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}

/// Takes the replies of commands, which so need not know how they are sent.
///
/// Each call writes one element. An aggregate ([`array`](Self::array), [`map`](Self::map), [`set`](Self::set),
/// [`push`](Self::push)) is its header only: its elements are the calls that follow, as many as it said.
pub trait Reply {
    /// No value: a missing key.
    fn null(&mut self);

    /// No array: an EXEC that was not carried out.
    fn null_array(&mut self);

    /// A status; a CR or LF in it becomes a space.
    fn simple(&mut self, text: &str);

    /// An integer.
    fn integer(&mut self, value: i64);

    /// Any bytes.
    fn bulk(&mut self, bytes: &[u8]);

    /// An integer where clients expect a string, as in the cursor of SCAN.
    fn bulk_integer(&mut self, value: i64);

    /// `len` elements follow.
    fn array(&mut self, len: usize);

    /// `pairs` times a key and its value follow; RESP2: an array of twice as many.
    fn map(&mut self, pairs: usize);

    /// `len` elements follow, all different; RESP2: an array.
    fn set(&mut self, len: usize);

    /// `len` elements follow that no request asked for; RESP2: an array.
    fn push(&mut self, len: usize);

    /// A floating point number with 17 significant digits, as Redis 7.0 has them; RESP2: a bulk.
    fn double(&mut self, value: f64);

    /// A truth value; RESP2: the integer 1 or 0.
    fn boolean(&mut self, value: bool);

    /// A text for people, in a format named by three characters (`txt`, `mkd`; cut or filled with spaces to that
    /// length); RESP2: a bulk.
    fn verbatim(&mut self, format: &str, text: &[u8]);

    /// An error: its code first (`ERR …`), then a text, which may quote any bytes of a client. CRs and LFs at its
    /// ends are dropped, others become spaces.
    fn error_bytes(&mut self, text: &[u8]);

    /// An error, see [`error_bytes`](Self::error_bytes).
    fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// The status `OK`.
    fn ok(&mut self) {
        self.simple("OK");
    }
}
