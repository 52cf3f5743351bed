//! PEM blocks as they really stand in configuration files: with real line ends, with a written `\n`,
//! or glued into one line. Knows labels and base64, nothing of what is inside.

use crate::BadKey;
use base64::{Engine, engine::general_purpose::STANDARD};

/// A PEM text larger than this is no key of a size we accept.
const MAX_LEN: usize = 16 * 1024;

/// One decoded block.
pub(crate) struct Block<'a> {
    /// What stands between `BEGIN` and the dashes, such as `EC PRIVATE KEY`.
    pub label: &'a str,
    /// The bytes inside.
    pub der: Vec<u8>,
}

/// Reads the first block that holds a key (OpenSSL writes `EC PARAMETERS` before it).
pub(crate) fn read(text: &str) -> Result<Block<'_>, BadKey> {
    if text.len() > MAX_LEN {
        return Err(BadKey("the key text is longer than 16 KiB"));
    }
    let mut rest = text;
    loop {
        let Some((_, after)) = rest.split_once("-----BEGIN ") else {
            return Err(BadKey("the key is not PEM: no line -----BEGIN ...----- with a key in it"));
        };
        let (label, after) = after.split_once("-----").ok_or(BadKey("the PEM BEGIN line has no end"))?;
        let (body, after) =
            after.split_once("-----END ").ok_or(BadKey("the PEM text has no END line: is the key cut off?"))?;
        rest = after;
        match label {
            "EC PARAMETERS" => continue,
            "ENCRYPTED PRIVATE KEY" => {
                return Err(BadKey("the private key is encrypted with a passphrase"));
            }
            "CERTIFICATE" => return Err(BadKey("this is a certificate, not a key")),
            _ if body.contains("Proc-Type") => {
                return Err(BadKey("the private key is encrypted with a passphrase"));
            }
            _ => {
                return Ok(Block { label, der: decode(body)? });
            }
        }
    }
}

/// Writes one block with lines of 64 characters.
pub(crate) fn write(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        text.extend(line.iter().map(|&c| char::from(c)));
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

fn decode(body: &str) -> Result<Vec<u8>, BadKey> {
    // A backslash never occurs in base64, so a written line end can be taken out blindly.
    let mut body = body.replace("\\r", "").replace("\\n", "");
    body.retain(|c| !c.is_ascii_whitespace() && c != '\\');
    STANDARD.decode(body).map_err(|_| BadKey("the PEM body is not base64: is the key cut off or changed?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_way_of_writing_line_ends() {
        let pem = write("PUBLIC KEY", &[7; 100]);
        for text in [pem.clone(), pem.replace('\n', "\r\n"), pem.replace('\n', "\\n"), pem.replace('\n', " ")] {
            let block = read(&text).unwrap();
            assert_eq!(block.label, "PUBLIC KEY");
            assert_eq!(block.der, [7; 100]);
        }
        assert_eq!(read(&pem.replace('\n', "")).unwrap().der, [7; 100]);
    }

    #[test]
    fn says_what_is_wrong() {
        let why = |text: &str| read(text).err().unwrap().to_string();
        assert!(why("").contains("not PEM"));
        assert!(why("-----BEGIN PUBLIC KEY-----\nAAAA").contains("cut off"));
        assert!(why(&write("CERTIFICATE", b"x")).contains("certificate"));
        assert!(why(&write("ENCRYPTED PRIVATE KEY", b"x")).contains("passphrase"));
        assert!(why("-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----").contains("base64"));
        assert!(why("-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----").contains("not PEM"));
    }
}
