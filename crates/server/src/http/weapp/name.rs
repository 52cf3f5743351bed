//! The calls of the room protocol: which path names which, by which methods each is made, and what limits count it as.

mod label;

use access::limits::What;
use axum::http::Method;
use room::Kind;

pub use label::{LABELS, UNKNOWN};

/// Which call a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Login,
    Logout,
    GetPushUrl,
    CreateRoom,
    AddPusher,
    GetPushers,
    GetRoomList,
    GetRecordList,
    Heartbeat,
    DeletePusher,
    DestroyRoom,
    AddAudience,
    DeleteAudience,
    GetAudiences,
    SetCustomField,
    GetCustomInfo,
    MergeStream,
    GetLoginInfo,
    GetImLoginInfo,
    GetTestPushUrl,
    GetTestRtmpAccUrl,
    CheckConfig,
    LogFileList,
    GetLogFile,
    Report,
    Webrtc(ListedCall),
    Webexe(ListedCall),
}

impl Name {
    /// The methods by which the call is made. Room calls are posted, `utils` are got; those may be posted
    /// too, as some clients do.
    pub fn methods(self) -> &'static str {
        match self {
            Self::GetLoginInfo
            | Self::GetTestPushUrl
            | Self::GetTestRtmpAccUrl
            | Self::CheckConfig
            | Self::LogFileList
            | Self::GetLogFile
            | Self::Webexe(ListedCall::GetLoginInfo) => "GET, HEAD, POST, OPTIONS",
            _ => "POST, OPTIONS",
        }
    }

    /// What it asks for, as limits count it.
    pub const fn asks_for(self) -> What {
        match self {
            Self::Login
            | Self::GetLoginInfo
            | Self::GetImLoginInfo
            | Self::Webrtc(ListedCall::GetLoginInfo)
            | Self::Webexe(ListedCall::GetLoginInfo) => What::Login,
            Self::CreateRoom | Self::Webrtc(ListedCall::Create) | Self::Webexe(ListedCall::Create) => What::Create,
            Self::AddPusher | Self::AddAudience | Self::Webrtc(ListedCall::Enter) | Self::Webexe(ListedCall::Enter) => {
                What::Join
            }
            _ => What::Call,
        }
    }

    /// Whether the call is made this way.
    pub fn allows(self, method: &Method) -> bool {
        self.methods().split(", ").any(|name| name == method.as_str())
    }
}

/// A call of `webrtc_room` and `webexe_room`, numbered as in `LABELS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedCall {
    /// A user's signature.
    GetLoginInfo,
    /// Makes a room and enters it.
    Create,
    /// Enters a room.
    Enter,
    /// Leaves a room.
    Quit,
    /// Says that a member is still there.
    Heartbeat,
    /// The rooms.
    List,
    /// Who is in a room.
    Members,
    /// Takes a room off the list; `webexe_room` only.
    Delete,
}

/// The kind of room that a call is for, if it is for one, and which call it is.
pub type Found = (Option<Kind>, Name);

/// The call that a path names, and the kind of room in it. The whole table of the protocol.
pub fn find(path: &str) -> Option<Found> {
    // The first servers did not mind how a path is written, and a client of theirs asks for `get_custom_Info`.
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return find(&path.to_ascii_lowercase());
    }
    let (kind, call) = path.strip_prefix("/weapp/")?.split_once('/')?;
    let kind = match kind {
        "double_room" => Kind::Double,
        "multi_room" => Kind::Multi,
        "live_room" => Kind::Live,
        "utils" => return Some((None, find_util(call)?)),
        "webrtc_room" => {
            let call = find_listed(call).filter(|call| *call != ListedCall::Delete)?;
            return Some((None, Name::Webrtc(call)));
        }
        "webexe_room" => return Some((None, Name::Webexe(find_listed(call)?))),
        _ => return None,
    };
    let live = kind == Kind::Live;
    let name = match call {
        "login" => Name::Login,
        "logout" => Name::Logout,
        "get_im_login_info" => Name::GetImLoginInfo,
        "get_push_url" | "get_anchor_url" => Name::GetPushUrl,
        "create_room" => Name::CreateRoom,
        "add_pusher" | "add_anchor" => Name::AddPusher,
        "get_pushers" | "get_anchors" => Name::GetPushers,
        "get_room_list" => Name::GetRoomList,
        "get_record_list" => Name::GetRecordList,
        "pusher_heartbeat" | "anchor_heartbeat" => Name::Heartbeat,
        "delete_pusher" | "delete_anchor" => Name::DeletePusher,
        "destroy_room" => Name::DestroyRoom,
        "add_audience" if live => Name::AddAudience,
        "delete_audience" if live => Name::DeleteAudience,
        "get_audiences" if live => Name::GetAudiences,
        "set_custom_field" if live => Name::SetCustomField,
        "get_custom_info" if live => Name::GetCustomInfo,
        // Windows asks for it in every kind of room.
        "merge_stream" => Name::MergeStream,
        _ => return None,
    };
    Some((Some(kind), name))
}

fn find_util(call: &str) -> Option<Name> {
    Some(match call {
        "get_login_info" => Name::GetLoginInfo,
        "get_test_pushurl" => Name::GetTestPushUrl,
        "get_test_rtmpaccurl" => Name::GetTestRtmpAccUrl,
        "check_config" => Name::CheckConfig,
        "logfilelist" => Name::LogFileList,
        "getlogfile" => Name::GetLogFile,
        "report" => Name::Report,
        _ => return None,
    })
}

fn find_listed(call: &str) -> Option<ListedCall> {
    Some(match call {
        "get_login_info" => ListedCall::GetLoginInfo,
        "create_room" => ListedCall::Create,
        "enter_room" => ListedCall::Enter,
        "quit_room" => ListedCall::Quit,
        "heartbeat" => ListedCall::Heartbeat,
        "get_room_list" => ListedCall::List,
        "get_room_members" => ListedCall::Members,
        "delete_room" => ListedCall::Delete,
        _ => return None,
    })
}
