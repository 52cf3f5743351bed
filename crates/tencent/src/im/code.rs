//! What the `ErrorCode` of a chat call means for us. Source: Tencent's "Error Codes" of IM.

/// What to do about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The group exists and is ours.
    Ours,
    /// The group's id belongs to another account.
    Taken,
    /// There is no such group (any more).
    Gone,
    /// The service has too much to do or a fault of its own: the same call may go better later.
    Busy,
    /// A setting is wrong, here or in the service's console. Names it.
    Setting(Setting),
    /// This call is refused, now and later.
    Refused,
}

/// What has to be put right before any call succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `im.sdkAppID`.
    App,
    /// `im.administrator`.
    Administrator,
    /// `im.secretKey`, or `im.privateKey` where there is no secret: the signature is refused.
    Key,
    /// The signature is refused as expired: one of the clocks is wrong.
    Clock,
    /// `chat.tencent.host`.
    Host,
    /// The account's plan or quota, in the console.
    Plan,
    /// The console's list of addresses that may call.
    Address,
}

/// Reads a code that is not 0.
#[must_use]
pub fn meaning(code: i64) -> Meaning {
    use Setting::{Address, Administrator, App, Clock, Host, Key, Plan};
    match code {
        10025 => Meaning::Ours,
        10021 => Meaning::Taken,
        10010 | 10015 => Meaning::Gone,
        10002 | 10006 | 10023 | 20004 | 20005 | 60007 | 60008 | 60011 | 60014 | 60018 | 60019 | 70050 | 70169
        | 70202 | 70500 | 80003 | 90992 | 90994 | 90995 | 91000 => Meaning::Busy,
        60006 | 60012 | 70014 | 70020 => Meaning::Setting(App),
        10012 | 60010 | 70013 | 70107 | 70403 | 90009 => Meaning::Setting(Administrator),
        60004 | 60005 | 70002 | 70003 | 70005 | 70009 | 70016 | 70052 => Meaning::Setting(Key),
        70001 => Meaning::Setting(Clock),
        60002 | 60009 => Meaning::Setting(Host),
        10036 | 10037 | 10058 | 10059 | 60016 | 60017 | 60020 | 70398 => Meaning::Setting(Plan),
        60021 | 70051 => Meaning::Setting(Address),
        _ => Meaning::Refused,
    }
}

impl Setting {
    /// The setting's name, and what is wrong with it.
    #[must_use]
    pub fn explain(self) -> (&'static str, &'static str) {
        match self {
            Self::App => ("im.sdkAppID", "the chat service knows no such app"),
            Self::Administrator => ("im.administrator", "is not an administrator of this app"),
            Self::Key => ("im.secretKey", "the chat service refuses signatures made with this key (or im.privateKey)"),
            Self::Clock => ("im.secretKey", "signatures are refused as expired: this machine's clock is wrong"),
            Self::Host => ("chat.tencent.host", "does not answer as the chat service does"),
            Self::Plan => ("im.sdkAppID", "the app is disabled, or its plan does not allow (more of) this"),
            Self::Address => ("im.sdkAppID", "the app's console does not admit calls from this machine's address"),
        }
    }

    /// Whether a fresh signature may help.
    #[must_use]
    pub fn is_signature(self) -> bool {
        matches!(self, Self::Key | Self::Clock | Self::Administrator)
    }
}
