//! Object literals of JavaScript, as configuration files have them: read, never run. What is not a plain
//! value is passed over, and said to be unreadable.

/// Deepest nesting.
const MAX_DEPTH: usize = 16;
/// Most members of a file.
const MAX_MEMBERS: usize = 4096;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Js {
    /// Names and values, in order.
    Object(Vec<(String, Js)>),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// `true` or `false`.
    Boolean(bool),
    /// `null` or `undefined`.
    Null,
    /// Something else: a call, a name, a list.
    Unreadable,
}

/// Reads the object that a file exports; otherwise the first that it assigns, or that is the whole file.
///
/// # Errors
/// The line, and what is wrong there.
pub fn read(text: &str) -> Result<Js, String> {
    let mut reader = Reader { rest: text, text, members: 0 };
    let begin = reader.find_object().ok_or("holds no object that is exported or assigned")?;
    reader.rest = begin;
    reader.object(0)
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    members: usize,
}

impl<'a> Reader<'a> {
    fn wrong<T>(&self, what: &str) -> Result<T, String> {
        let at = self.text.len() - self.rest.len();
        let line = self.text[..at].matches('\n').count() + 1;
        Err(format!("line {line}: {what}"))
    }

    /// Skips white space and comments.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            if let Some(comment) = self.rest.strip_prefix("//") {
                self.rest = comment.find('\n').map_or("", |end| &comment[end..]);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
            } else {
                return;
            }
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Where the object begins that matters.
    fn find_object(&mut self) -> Option<&'a str> {
        let mut first = None;
        let mut exported = false;
        loop {
            self.skip();
            let c = self.rest.chars().next();
            match c {
                None => return first,
                Some('\'' | '"' | '`') => _ = self.string().ok()?,
                Some('{') => {
                    if exported {
                        return Some(self.rest);
                    }
                    first = first.or(Some(self.rest));
                    self.pass_group()?;
                }
                Some('=') if self.rest.starts_with("=>") => self.rest = &self.rest[2..],
                Some(c) if is_word(c) => {
                    let word = self.word();
                    // `module.exports = CONF` names an object from before.
                    exported = matches!(word, "exports" | "default") || exported && word.is_empty();
                }
                Some(c) => {
                    exported = exported && matches!(c, '=' | '.');
                    self.rest = &self.rest[c.len_utf8()..];
                }
            }
        }
    }

    /// Passes over a bracket with everything in it.
    fn pass_group(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            self.skip();
            let c = self.rest.chars().next()?;
            match c {
                '\'' | '"' | '`' => {
                    self.string().ok()?;
                    continue;
                }
                '{' | '[' | '(' => depth += 1,
                '}' | ']' | ')' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.rest = &self.rest[c.len_utf8()..];
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn object(&mut self, depth: usize) -> Result<Js, String> {
        if depth == MAX_DEPTH {
            return self.wrong("nested too deeply");
        }
        if !self.eat("{") {
            return self.wrong("an object should begin here");
        }
        let mut members = Vec::new();
        loop {
            if self.eat("}") {
                return Ok(Js::Object(members));
            }
            self.members += 1;
            if self.members > MAX_MEMBERS {
                return self.wrong("too many members");
            }
            self.skip();
            let name = match self.rest.chars().next() {
                Some('\'' | '"') => self.string()?,
                Some(c) if is_word(c) => self.word().to_owned(),
                _ => String::new(),
            };
            if !name.is_empty() && self.eat(":") {
                let value = self.value(depth)?;
                members.push((name, value));
            } else {
                // A method, a spread, a name alone.
                self.pass_value();
            }
            if !self.eat(",") && {
                self.skip();
                !self.rest.starts_with('}')
            } {
                return self.wrong("',' or '}' should stand here");
            }
        }
    }

    /// Passes over a value, up to the `,` or `}` behind it.
    fn pass_value(&mut self) {
        loop {
            self.skip();
            match self.rest.chars().next() {
                None | Some(',' | '}' | ']' | ')') => return,
                Some('{' | '[' | '(') => {
                    if self.pass_group().is_none() {
                        self.rest = "";
                    }
                }
                Some('\'' | '"' | '`') => {
                    if self.string().is_err() {
                        self.rest = "";
                    }
                }
                Some(c) => self.rest = &self.rest[c.len_utf8()..],
            }
        }
    }

    /// A value: an object, or terms joined by `+` and `*`.
    fn value(&mut self, depth: usize) -> Result<Js, String> {
        self.skip();
        if self.rest.starts_with('{') {
            return self.object(depth + 1);
        }
        let before = self.rest;
        let value = self.sum()?;
        self.skip();
        // Whatever else stands there makes it something that only a program can tell.
        if matches!(self.rest.chars().next(), Some(',' | '}')) && value != Js::Unreadable {
            return Ok(value);
        }
        self.rest = before;
        self.pass_value();
        Ok(Js::Unreadable)
    }

    fn sum(&mut self) -> Result<Js, String> {
        let mut value = self.product()?;
        while self.eat("+") {
            value = match (value, self.product()?) {
                (Js::Number(a), Js::Number(b)) => Js::Number(a + b),
                (Js::Text(a), Js::Text(b)) => Js::Text(a + &b),
                _ => Js::Unreadable,
            };
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<Js, String> {
        let mut value = self.term()?;
        while self.eat("*") {
            value = match (value, self.term()?) {
                (Js::Number(a), Js::Number(b)) => Js::Number(a * b),
                _ => Js::Unreadable,
            };
        }
        Ok(value)
    }

    fn term(&mut self) -> Result<Js, String> {
        self.skip();
        Ok(match self.rest.chars().next() {
            Some('\'' | '"') => Js::Text(self.string()?),
            Some('`') => {
                let text = self.string()?;
                if text.contains("${") { Js::Unreadable } else { Js::Text(text) }
            }
            Some(c) if c.is_ascii_digit() || c == '-' => {
                let end = self.rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_');
                let (digits, rest) = self.rest.split_at(end.map_or(self.rest.len(), |end| end + 1));
                self.rest = rest;
                digits.replace('_', "").parse().map_or(Js::Unreadable, Js::Number)
            }
            Some(c) if is_word(c) => match self.word() {
                "true" => Js::Boolean(true),
                "false" => Js::Boolean(false),
                "null" | "undefined" => Js::Null,
                _ => Js::Unreadable,
            },
            _ => Js::Unreadable,
        })
    }

    /// A text in any of the three quotes.
    fn string(&mut self) -> Result<String, String> {
        let mut chars = self.rest.char_indices();
        let Some((_, quote)) = chars.next() else { return self.wrong("a text should begin here") };
        let mut text = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.rest = &self.rest[at + c.len_utf8()..];
                    return Ok(text);
                }
                '\n' if quote != '`' => break,
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, 't')) => text.push('\t'),
                    // A line that goes on.
                    Some((_, '\n')) => {}
                    Some((_, '\r')) => {
                        let mut ahead = chars.clone();
                        if let Some((_, '\n')) = ahead.next() {
                            chars = ahead;
                        }
                    }
                    Some((_, 'u')) => {
                        let code: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                        match u32::from_str_radix(&code, 16).ok().and_then(char::from_u32) {
                            Some(c) => text.push(c),
                            None => return self.wrong("a text holds a broken \\u"),
                        }
                    }
                    Some((_, c)) => text.push(c),
                    None => break,
                },
                c => text.push(c),
            }
        }
        self.wrong("a text does not end")
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}
