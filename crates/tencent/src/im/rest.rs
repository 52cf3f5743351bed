//! Calls to the chat service's REST interface (Tencent's "RESTful API Overview" of IM): one call each, signed with the
//! administrator's userSig. Knows no rooms and no queues; what to do about a failure is the caller's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, header};
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use room::{Millis, UserId};
use serde_json::{Value, json};

use super::code::{Meaning, Setting, meaning};
use access::identity::{self, Identity};
use outbound::{Call, Client, Failed, Limiter};
use store::clock::Clock;

/// What every notification of a change of pushers says.
pub const NOTICE: &str = r#"{"cmd":"notifyPusherChange","data":""}"#;
/// Longest id of a group, in bytes.
pub const MAX_GROUP_ID: usize = 48;
/// Longest name of a group, in bytes.
const MAX_GROUP_NAME: usize = 30;
/// For how long the administrator's signature is good, in seconds.
const SIGNATURE_LIFETIME: u64 = 24 * 3600;
/// A signature this old, in seconds, is made anew when the service refuses it.
const SIGNATURE_FRESH: u64 = 10;

/// The commands that are used. The service bounds each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Makes a group.
    CreateGroup,
    /// Removes a group with all its members.
    DestroyGroup,
    /// Tells a group of something, as the system.
    SystemNotification,
    /// Says something in a group.
    GroupMessage,
    /// Says something to one user.
    DirectMessage,
    /// Lets a user say nothing in a group for a while.
    Mute,
    /// Asks how many are in a group.
    OnlineCount,
    /// Asks about an account; changes nothing.
    AccountCheck,
}

impl Command {
    const ALL: [Self; 8] = [
        Self::CreateGroup,
        Self::DestroyGroup,
        Self::SystemNotification,
        Self::GroupMessage,
        Self::DirectMessage,
        Self::Mute,
        Self::OnlineCount,
        Self::AccountCheck,
    ];

    /// Service and command, as they stand in the path.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::CreateGroup => "group_open_http_svc/create_group",
            Self::DestroyGroup => "group_open_http_svc/destroy_group",
            Self::SystemNotification => "group_open_http_svc/send_group_system_notification",
            Self::GroupMessage => "group_open_http_svc/send_group_msg",
            Self::DirectMessage => "openim/sendmsg",
            Self::Mute => "group_open_http_svc/forbid_send_msg",
            Self::OnlineCount => "group_open_http_svc/get_online_member_num",
            Self::AccountCheck => "im_open_login_svc/account_check",
        }
    }
}

/// Why a call did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There was no answer that could be read.
    Away(Failed),
    /// We held the call back: too many of its kind in this second.
    HeldBack,
    /// The service answered with a code.
    Said(i64),
}

impl Trouble {
    /// What to do about it.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        match self {
            Self::Away(failed) if failed.may_pass() => Meaning::Busy,
            Self::Away(_) => Meaning::Setting(Setting::Host),
            Self::HeldBack => Meaning::Busy,
            Self::Said(code) => meaning(*code),
        }
    }

    /// Whether the call may have been carried out all the same.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        match self {
            Self::Away(_) => true,
            Self::HeldBack => false,
            Self::Said(code) => meaning(*code) == Meaning::Busy,
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Away(failed) => failed.fmt(f),
            Self::HeldBack => f.write_str("held back: too many calls of this kind"),
            Self::Said(code) => write!(f, "ErrorCode {code}"),
        }
    }
}

/// What is said in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words<'a> {
    /// Text that people read.
    Text(&'a str),
    /// Data that programs read.
    Custom(&'a str),
}

impl Words<'_> {
    fn body(self) -> Value {
        match self {
            Self::Text(text) => json!([{ "MsgType": "TIMTextElem", "MsgContent": { "Text": text } }]),
            Self::Custom(data) => json!([{ "MsgType": "TIMCustomElem", "MsgContent": { "Data": data } }]),
        }
    }
}

struct Signature {
    text: String,
    made: u64,
}

/// The interface, for one app and its administrator.
pub struct Rest {
    client: Client,
    /// `https://host`, without a slash at the end.
    base: String,
    identity: Identity,
    administrator: UserId,
    clock: Arc<dyn Clock>,
    signature: Mutex<Option<Arc<Signature>>>,
    limits: [Limiter; Command::ALL.len()],
}

impl Rest {
    /// The interface that the settings speak of.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn of(
        im: &identity::Settings,
        chat: &chat::TencentSettings,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let administrator = UserId::parse(&im.administrator).map_err(|_| "im.administrator is no user's id")?;
        let identity = Identity::new(im.clone())?;
        if im.secret_key.is_empty() && im.private_key.is_empty() {
            return Err(
                "im.secretKey or im.privateKey must be set: calls to the chat service are signed with it".into()
            );
        }
        Ok(Self::new(client, outbound::base_of(&chat.host), identity, administrator, chat.rate, clock))
    }

    /// Puts the parts together; `rate` bounds the calls of each command in a second.
    #[must_use]
    pub fn new(
        client: Client,
        base: String,
        identity: Identity,
        administrator: UserId,
        rate: u32,
        clock: Arc<dyn Clock>,
    ) -> Self {
        // A quarter of a second's worth at once: the service counts by its own second.
        let limits = std::array::from_fn(|_| Limiter::new(rate, rate / 4));
        Self { client, base, identity, administrator, clock, signature: Mutex::default(), limits }
    }

    /// The time of now.
    pub(super) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// The signature that calls carry: the same one until half its time is over.
    fn signature(&self) -> Result<Arc<Signature>, Trouble> {
        let now = self.clock.now();
        let mut held = self.signature.lock();
        if let Some(signature) = &*held
            && now.secs().abs_diff(signature.made) < SIGNATURE_LIFETIME / 2
        {
            return Ok(signature.clone());
        }
        let text = self.identity.sign_for(&self.administrator, SIGNATURE_LIFETIME, now);
        let text = text.map_err(|_| Trouble::Said(70009))?;
        let signature = Arc::new(Signature { text, made: now.secs() });
        *held = Some(signature.clone());
        Ok(signature)
    }

    /// Forgets a signature that was refused, unless it has just been made. Says whether to try again.
    fn renew(&self, refused: &Arc<Signature>) -> bool {
        let mut held = self.signature.lock();
        match &*held {
            Some(signature) if !Arc::ptr_eq(signature, refused) => true,
            _ if self.clock.now().secs().abs_diff(refused.made) < SIGNATURE_FRESH => false,
            _ => {
                *held = None;
                true
            }
        }
    }

    /// Makes one call, with a fresh signature once more if the service refuses the one we had.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn call(&self, command: Command, body: &Value, within: Duration) -> Result<Value, Trouble> {
        let begun = tokio::time::Instant::now();
        let limit = Command::ALL.iter().position(|c| *c == command).map(|at| &self.limits[at]);
        if let Some(limit) = limit
            && !limit.turn(within).await
        {
            return Err(Trouble::HeldBack);
        }
        for again in [false, true] {
            let signature = self.signature()?;
            let answer = self.send(command, body, &signature.text, within.saturating_sub(begun.elapsed())).await;
            match &answer {
                Err(trouble) if !again => match trouble.meaning() {
                    Meaning::Setting(setting) if setting.is_signature() && self.renew(&signature) => {}
                    _ => return answer,
                },
                _ => return answer,
            }
        }
        Err(Trouble::Said(70001))
    }

    async fn send(&self, command: Command, body: &Value, signature: &str, within: Duration) -> Result<Value, Trouble> {
        let url = format!(
            "{}/v4/{}?sdkappid={}&identifier={}&usersig={}&random={}&contenttype=json",
            self.base,
            command.path(),
            self.identity.sdk_app_id(),
            utf8_percent_encode(self.administrator.as_str(), NON_ALPHANUMERIC),
            utf8_percent_encode(signature, NON_ALPHANUMERIC),
            sign::fresh_id() as u32,
        );
        let call = Call {
            method: Method::POST,
            url,
            headers: vec![(header::CONTENT_TYPE, "application/json".into())],
            body: Bytes::from(body.to_string()),
            within,
        };
        let answer = self.client.json(call).await.map_err(Trouble::Away)?;
        // An object without a code is no answer of this service, whatever it is.
        match answer["ErrorCode"].as_i64() {
            Some(0) => Ok(answer),
            Some(code) => Err(Trouble::Said(code)),
            None => Err(Trouble::Away(Failed::NotJson)),
        }
    }

    /// Makes a group for a room; one that is ours already is fine.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn create_group(&self, id: &str, within: Duration) -> Result<(), Trouble> {
        let name: String = id.chars().take(MAX_GROUP_NAME).collect();
        let body = json!({
            "GroupId": id,
            "Name": name,
            "Type": "AVChatRoom",
            "Owner_Account": self.administrator.as_str(),
        });
        match self.call(Command::CreateGroup, &body, within).await {
            Err(trouble) if trouble.meaning() == Meaning::Ours => Ok(()),
            other => other.map(drop),
        }
    }

    /// Removes a group; one that is gone already is fine.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn destroy_group(&self, id: &str, within: Duration) -> Result<(), Trouble> {
        match self.call(Command::DestroyGroup, &json!({ "GroupId": id }), within).await {
            Err(trouble) if trouble.meaning() == Meaning::Gone => Ok(()),
            other => other.map(drop),
        }
    }

    /// Notifies all members of a group, as the system.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn notify(&self, group: &str, content: &str, within: Duration) -> Result<(), Trouble> {
        let body = json!({ "GroupId": group, "Content": content });
        self.call(Command::SystemNotification, &body, within).await.map(drop)
    }

    /// Says something in a group; the service drops a second message of the same number within five minutes.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn say(
        &self,
        group: &str,
        from: Option<&UserId>,
        words: Words<'_>,
        number: u32,
        within: Duration,
    ) -> Result<(), Trouble> {
        let mut body = json!({ "GroupId": group, "Random": number, "MsgBody": words.body() });
        if let Some(from) = from {
            body["From_Account"] = from.as_str().into();
        }
        self.call(Command::GroupMessage, &body, within).await.map(drop)
    }

    /// Says something to one user, who hears it only while online.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn say_to(
        &self,
        to: &UserId,
        from: Option<&UserId>,
        words: Words<'_>,
        number: u32,
        within: Duration,
    ) -> Result<(), Trouble> {
        let mut body = json!({
            "SyncOtherMachine": 2,
            "To_Account": to.as_str(),
            "MsgLifeTime": 0,
            "MsgRandom": number,
            "MsgBody": words.body(),
        });
        if let Some(from) = from {
            body["From_Account"] = from.as_str().into();
        }
        self.call(Command::DirectMessage, &body, within).await.map(drop)
    }

    /// Lets a user say nothing in a group for so many seconds (none: for ever); 0 takes it back.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn mute(
        &self,
        group: &str,
        user: &UserId,
        seconds: Option<u64>,
        within: Duration,
    ) -> Result<(), Trouble> {
        let time = seconds.map_or(u32::MAX, |s| u32::try_from(s).unwrap_or(u32::MAX));
        let body = json!({ "GroupId": group, "Members_Account": [user.as_str()], "MuteTime": time });
        self.call(Command::Mute, &body, within).await.map(drop)
    }

    /// How many are in a group now; the service counts anew about every ten seconds.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn online(&self, group: &str, within: Duration) -> Result<u64, Trouble> {
        let answer = self.call(Command::OnlineCount, &json!({ "GroupId": group }), within).await?;
        answer["OnlineMemberNum"].as_u64().ok_or(Trouble::Away(Failed::NotJson))
    }

    /// Asks something that changes nothing, to see whether calls are admitted.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn check(&self, within: Duration) -> Result<(), Trouble> {
        let body = json!({ "CheckItem": [{ "UserID": self.administrator.as_str() }] });
        self.call(Command::AccountCheck, &body, within).await.map(drop)
    }
}
