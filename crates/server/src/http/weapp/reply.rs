//! Answers: the only file with wire codes and the texts that clients show.

use std::borrow::Cow;
use std::fmt::Display;

use axum::http::StatusCode;
use room::{Millis, Refusal, UserId};
use serde::Serialize;
use serde_json::json;

use super::language;
use super::request_id::RequestId;
use crate::metrics::Codes;
use access::limits::TooMuch;
use store::error::Error;

/// Makes a constant of each code, and the list of them.
macro_rules! codes {
    ($($name:ident = $code:literal,)*) => {
        $(const $name: i32 = $code;)*
        /// All but that of success.
        const FAILURES: &[i32] = &[$($name),*];
    };
}

codes! {
    DEFECT = -1,
    MALFORMED = 1,
    NO_ROOM = 3,
    LOGIN_INCOMPLETE = 4,
    NOT_MEMBER = 5,
    NO_GROUP = 6,
    UNAUTHORISED = 7,
    TOO_LONG = 10,
    EXISTS = 11,
    BANNED = 12,
    TOO_MUCH = 429,
    UNAVAILABLE = 503,
    UNKNOWN = 504,
    FULL = 5001,
}

/// The code of a defect of ours.
pub const INTERNAL: i32 = DEFECT;
/// Statuses that are counted as codes, of answers to what is no call that may be made.
const STATUSES: &[i32] = &[204, 400, 404, 405, 408, 413, 500];

/// The codes as metrics count them.
pub fn codes() -> Codes {
    Codes { known: [&[0], FAILURES, STATUSES].concat(), failed: INTERNAL }
}

/// The message of every success.
const OK: &str = "请求成功";
/// A success up to where its own fields begin.
const BEGUN: &str = "{\"code\":0,\"message\":\"请求成功\"";

/// A call's outcome: a whole JSON object, or why not.
pub type Sent = Result<Vec<u8>, Fail>;

/// Why a call failed, in words for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fail {
    /// The wire code.
    pub code: i32,
    /// What is wrong; never holds a cause that is not the client's.
    pub message: Cow<'static, str>,
    /// A room id that the answer carries all the same.
    pub room: Option<String>,
    /// The HTTP status, if it is not 200.
    pub status: StatusCode,
    /// Seconds after which the same may go better, where that is known.
    pub wait: Option<u32>,
}

impl Fail {
    fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), room: None, status: StatusCode::OK, wait: None }
    }

    fn later(message: &'static str) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, ..Self::new(UNAVAILABLE, message) }
    }

    /// Parameters are malformed.
    pub fn malformed(why: &(impl Display + ?Sized)) -> Self {
        Self::new(MALFORMED, format!("参数错误: {why}"))
    }

    /// A parameter is missing.
    pub fn missing(field: &str) -> Self {
        Self::new(MALFORMED, format!("缺少参数: {field}"))
    }

    /// A text is not JSON that must be.
    pub fn not_json(field: &str) -> Self {
        Self::new(TOO_LONG, format!("{field} 不是 JSON"))
    }

    /// A login parameter is missing.
    pub fn login_incomplete(field: &str) -> Self {
        Self::new(LOGIN_INCOMPLETE, format!("缺少登录参数: {field}"))
    }

    /// Who calls is not who they say, or not allowed.
    pub fn unauthorised(why: &str) -> Self {
        Self::new(UNAUTHORISED, format!("鉴权失败: {why}"))
    }

    /// An operator keeps the caller out, and until when.
    pub fn banned(until: Millis, now: Millis) -> Self {
        match until {
            Millis::NEVER => Self::new(BANNED, "已被禁止进入"),
            until => Self::new(BANNED, format!("已被禁止进入: {} 秒后解除", until.since(now).div_ceil(1000))),
        }
    }

    /// More was asked for than may be.
    pub fn too_much(TooMuch(wait): TooMuch) -> Self {
        let fail = Self::new(TOO_MUCH, "请求过于频繁，请稍后重试");
        Self { status: StatusCode::TOO_MANY_REQUESTS, wait: Some(wait), ..fail }
    }

    /// There is no such thing, or none that may be seen.
    pub fn not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::new(MALFORMED, "没有这样的文件") }
    }

    /// The answer names this room.
    pub fn with_room(mut self, room: &str) -> Self {
        self.room = Some(room.to_owned());
        self
    }

    /// The same under another code.
    pub fn with_code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// Another text for the same code.
    pub fn saying(mut self, message: &'static str) -> Self {
        self.message = message.into();
        self
    }
}

impl From<Refusal> for Fail {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing { field } => Self::missing(field),
            Refusal::TooLong { field, max } => Self::new(
                if matches!(field, "roomID" | "userID") { MALFORMED } else { TOO_LONG },
                format!("{field} 超出长度限制: 最多 {max} 字节"),
            ),
            Refusal::BadCharacter { field } => {
                Self::malformed(&format_args!("{field} 只能包含可打印的 ASCII 字符, 不含空格和引号"))
            }
            Refusal::NotANumber => Self::malformed("value: 不是数字的字段不能 inc 或 dec"),
            Refusal::TooManyFields { max } => Self::new(TOO_LONG, format!("自定义字段超出数量限制: 最多 {max} 个")),
            Refusal::NoRoom => Self::new(NO_ROOM, "请求的房间不存在"),
            Refusal::RoomExists => Self::new(EXISTS, "房间已经存在"),
            Refusal::NotCreator => Self::new(NO_ROOM, "不是房间主人，无法销毁房间"),
            Refusal::NotMember => Self::new(NOT_MEMBER, "不是房间成员"),
            Refusal::Full => Self::new(FULL, "超出房间人数上限"),
            Refusal::AudienceListFull => Self::new(FULL, "观众列表已满"),
        }
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::NoGroup(cause) => {
                tracing::warn!(cause, "a room's chat group could not be made");
                Self::new(NO_GROUP, "聊天室创建失败")
            }
            Error::Unavailable(cause) => {
                tracing::warn!(cause, "a neighbour is away");
                Self::later("服务暂不可用，请稍后重试")
            }
            Error::Unknown(cause) => {
                tracing::warn!(cause, "it is not known whether a change was made");
                let fail =
                    Self::new(UNKNOWN, "结果未知: 请求可能已经执行，请查询后再决定，或用同一个 Idempotency-Key 重试");
                Self { status: StatusCode::GATEWAY_TIMEOUT, ..fail }
            }
            Error::Leaving => Self::later("服务正在重启，请稍后重试"),
        }
    }
}

/// An answer, ready to be sent and noted.
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The wire code.
    pub code: i32,
    /// The body.
    pub body: Vec<u8>,
    /// Its type.
    pub content_type: &'static str,
    /// Who called, if that is certain.
    pub user: Option<UserId>,
    /// Seconds after which to come back, if that is known.
    pub wait: Option<u32>,
}

const JSON: &str = "application/json; charset=utf-8";

impl Reply {
    /// The answer to a call.
    pub fn from_sent(sent: Sent, user: Option<UserId>) -> Self {
        match sent {
            Ok(body) => {
                let content_type = match body.first() {
                    Some(b'{') => JSON,
                    Some(b'<') => "text/html; charset=utf-8",
                    _ => "text/plain; charset=utf-8",
                };
                Self { status: StatusCode::OK, code: 0, body, content_type, user, wait: None }
            }
            Err(fail) => {
                let mut body = json!({ "code": fail.code, "message": fail.message });
                if let Some(room) = &fail.room {
                    body["roomID"] = room.as_str().into();
                }
                Self {
                    status: fail.status,
                    code: fail.code,
                    body: body.to_string().into_bytes(),
                    content_type: JSON,
                    user,
                    wait: fail.wait,
                }
            }
        }
    }

    /// The same with its message in English.
    pub fn in_english(mut self) -> Self {
        if let Some(rest) = self.body.strip_prefix(BEGUN.as_bytes()) {
            self.body = [b"{\"code\":0,\"message\":\"OK\"", rest].concat();
        } else if self.code != 0
            && let Ok(mut body) = serde_json::from_slice::<serde_json::Value>(&self.body)
            && let Some(message) = body["message"].as_str().map(language::english)
        {
            body["message"] = message.into();
            self.body = body.to_string().into_bytes();
        }
        self
    }

    /// An answer to what is not of this protocol.
    pub fn status(status: StatusCode) -> Self {
        let message = status.canonical_reason().unwrap_or_default();
        let body = if status == StatusCode::NO_CONTENT {
            Vec::new()
        } else {
            json!({ "code": MALFORMED, "message": message }).to_string().into_bytes()
        };
        Self { status, code: i32::from(status.as_u16()), body, content_type: JSON, user: None, wait: None }
    }

    /// The answer after a defect of ours.
    pub fn internal(id: RequestId) -> Self {
        let body = json!({ "code": INTERNAL, "message": format!("服务器内部错误 ({id})") }).to_string().into_bytes();
        Self { status: StatusCode::OK, code: INTERNAL, body, content_type: JSON, user: None, wait: None }
    }
}

#[derive(Serialize)]
struct Success<'a, T> {
    code: i32,
    message: &'static str,
    #[serde(flatten)]
    fields: &'a T,
}

/// A success with fields at the top level.
pub fn success<T: Serialize>(fields: &T) -> Sent {
    serde_json::to_vec(&Success { code: 0, message: OK, fields })
        .map_err(|e| Fail::new(INTERNAL, format!("服务器内部错误: {e}")))
}

/// A success that says nothing more.
pub fn done() -> Sent {
    Ok([BEGUN, "}"].concat().into_bytes())
}

/// A success with fields that are written as JSON, without the braces.
pub fn fields(write: impl FnOnce(&mut Vec<u8>)) -> Sent {
    let mut body = Vec::with_capacity(2048);
    body.extend_from_slice(BEGUN.as_bytes());
    body.push(b',');
    write(&mut body);
    body.push(b'}');
    Ok(body)
}

/// A success whose only field is a list, written item by item.
pub struct List {
    body: Vec<u8>,
    empty: usize,
}

impl List {
    /// An empty list. `expected` bytes of items have room at once.
    pub fn new(field: &str, expected: usize) -> Self {
        let mut body = Vec::with_capacity(expected + 96);
        for piece in [BEGUN, ",\"", field, "\":["] {
            body.extend_from_slice(piece.as_bytes());
        }
        Self { empty: body.len(), body }
    }

    /// One more item, which is written as JSON.
    pub fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.body.len() > self.empty {
            self.body.push(b',');
        }
        write(&mut self.body);
    }

    /// The answer.
    pub fn sent(mut self) -> Sent {
        self.body.extend_from_slice(b"]}");
        Ok(self.body)
    }
}
