//! The protocol of Redis (RESP2): requests out of bytes, answers into bytes. Knows no commands.

/// An argument, a key or a value.
pub type Text = Vec<u8>;

/// What Redis answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A word such as `OK`.
    Word(&'static str),
    /// An error, beginning with its name.
    Error(String),
    /// A number.
    Number(i64),
    /// A text.
    Text(Text),
    /// No text.
    Nothing,
    /// No list.
    NoList,
    /// A list.
    List(Vec<Self>),
}

impl Reply {
    /// A text, or none.
    pub fn of(text: Option<Text>) -> Self {
        text.map_or(Self::Nothing, Self::Text)
    }

    /// A list of texts.
    pub fn texts(texts: impl IntoIterator<Item = Text>) -> Self {
        Self::List(texts.into_iter().map(Self::Text).collect())
    }

    /// How many there are of something.
    pub fn count(count: usize) -> Self {
        Self::Number(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Appends it as bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Word(word) => line(out, b'+', word.as_bytes()),
            Self::Error(why) => line(out, b'-', why.as_bytes()),
            Self::Number(number) => line(out, b':', number.to_string().as_bytes()),
            Self::Nothing => line(out, b'$', b"-1"),
            Self::NoList => line(out, b'*', b"-1"),
            Self::Text(text) => {
                line(out, b'$', text.len().to_string().as_bytes());
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            Self::List(list) => {
                line(out, b'*', list.len().to_string().as_bytes());
                list.iter().for_each(|reply| reply.write(out));
            }
        }
    }
}

fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Requests that come in pieces.
#[derive(Default)]
pub struct Requests {
    read: Vec<u8>,
}

impl Requests {
    /// Takes more bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        self.read.extend_from_slice(bytes);
    }

    /// The next whole request: a list of texts, as every client sends it.
    pub fn next(&mut self) -> Option<Vec<Text>> {
        let mut at = 0;
        let count = self.number(&mut at, b'*')?;
        let mut words = Vec::with_capacity(count);
        for _ in 0..count {
            let length = self.number(&mut at, b'$')?;
            words.push(self.read.get(at..at + length)?.to_vec());
            self.read.get(at + length..at + length + 2)?;
            at += length + 2;
        }
        self.read.drain(..at);
        Some(words)
    }

    fn number(&self, at: &mut usize, kind: u8) -> Option<usize> {
        let rest = self.read.get(*at..)?;
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        assert_eq!(rest[0], kind, "clients send lists of texts");
        let number = std::str::from_utf8(&rest[1..end]).ok()?.parse().ok()?;
        *at += end + 2;
        Some(number)
    }
}
