//! The calls of the room protocol: which path names which, by which methods each is made, and what limits count it as. Each is one
//! line of a table: its name here, what it counts as, how metrics and paths name it, and what else paths do.

mod label;

use access::limits::Budget;
use axum::http::Method;
use room::Kind;

pub use label::{LABELS, UNKNOWN};

/// Makes an enum of calls of the lines of a table, and their labels, each where its number says: with the name of a place before
/// them where the calls of one table are those of several places.
macro_rules! calls {
    ($(#[$doc:meta])* $name:ident $(, $labels:ident = $place:literal)* {
        $($(#[$what_it_does:meta])* $call:ident: $counts_as:ident, $label:literal $(| $alias:literal)*;)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$what_it_does])* $call,)*
        }

        impl $name {
            /// All that paths call them.
            #[cfg(test)]
            const NAMES: &[&str] = &[$($label $(, $alias)*),*];

            fn find(name: &str) -> Option<Self> {
                Some(match name {
                    $($label $(| $alias)* => Self::$call,)*
                    _ => return None,
                })
            }

            const fn asks_for(self) -> Budget {
                match self {
                    $(Self::$call => Budget::$counts_as,)*
                }
            }
        }

        calls! { labels $name $(, $labels = $place)*; $($label)* }
    };
    (labels $name:ident; $($label:literal)*) => {
        calls! { labels $name, LABELS = ""; $($label)* }
    };
    (labels $name:ident, $labels:ident = $place:literal $(, $others:ident = $places:literal)*; $($label:literal)*) => {
        impl $name {
            const $labels: &[&str] = &[$(concat!($place, $label)),*];
        }
        calls! { more $name $(, $others = $places)*; $($label)* }
    };
    (more $name:ident; $($label:literal)*) => {};
    (more $name:ident $(, $labels:ident = $place:literal)+; $($label:literal)*) => {
        calls! { labels $name $(, $labels = $place)+; $($label)* }
    };
}

calls! {
    /// How a user gets a session, below the path of each kind of room.
    EntryCall {
        Login: Login, "login";
        /// What clients of 2017 begin with.
        GetImLoginInfo: Login, "get_im_login_info";
    }
}

calls! {
    /// What a session's user does, below the path of each kind of room.
    RoomCall {
        Logout: Call, "logout";
        GetPushUrl: Call, "get_push_url" | "get_anchor_url";
        CreateRoom: Create, "create_room";
        AddPusher: Join, "add_pusher" | "add_anchor";
        GetPushers: Call, "get_pushers" | "get_anchors";
        GetRoomList: Call, "get_room_list";
        GetRecordList: Call, "get_record_list";
        Heartbeat: Call, "pusher_heartbeat" | "anchor_heartbeat";
        DeletePusher: Call, "delete_pusher" | "delete_anchor";
        DestroyRoom: Call, "destroy_room";
        AddAudience: Join, "add_audience";
        DeleteAudience: Call, "delete_audience";
        GetAudiences: Call, "get_audiences";
        SetCustomField: Call, "set_custom_field";
        GetCustomInfo: Call, "get_custom_info";
        /// Windows asks for it in every kind of room.
        MergeStream: Call, "merge_stream";
    }
}

impl RoomCall {
    /// Whether rooms of a kind have it.
    fn is_of(self, kind: Kind) -> bool {
        let live_only = matches!(
            self,
            Self::AddAudience | Self::DeleteAudience | Self::GetAudiences | Self::SetCustomField | Self::GetCustomInfo
        );
        kind == Kind::Live || !live_only
    }
}

calls! {
    /// A call of `utils`.
    UtilCall {
        GetLoginInfo: Login, "get_login_info";
        GetTestPushUrl: Call, "get_test_pushurl";
        GetTestRtmpAccUrl: Call, "get_test_rtmpaccurl";
        CheckConfig: Call, "check_config";
        LogFileList: Call, "logfilelist";
        GetLogFile: Call, "getlogfile";
        Report: Report, "report";
    }
}

calls! {
    /// A call of `webrtc_room` and `webexe_room`.
    ListedCall, OF_WEBRTC = "webrtc_room/", OF_WEBEXE = "webexe_room/" {
        /// A user's signature.
        GetLoginInfo: Login, "get_login_info";
        /// Makes a room and enters it.
        Create: Create, "create_room";
        /// Enters a room.
        Enter: Join, "enter_room";
        /// Leaves a room.
        Quit: Call, "quit_room";
        /// Says that a member is still there.
        Heartbeat: Call, "heartbeat";
        /// The rooms.
        List: Call, "get_room_list";
        /// Who is in a room.
        Members: Call, "get_room_members";
        /// Takes a room off the list; `webexe_room` only, and so the last one.
        Delete: Call, "delete_room";
    }
}

/// Which call a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// One that needs no session; the same in every kind of room.
    Entry(EntryCall),
    /// One of a session, for rooms of this kind.
    Room(Kind, RoomCall),
    /// One of `utils`.
    Util(UtilCall),
    /// One of `webrtc_room`.
    Webrtc(ListedCall),
    /// One of `webexe_room`.
    Webexe(ListedCall),
}

impl Name {
    /// The methods by which the call is made. Room calls are posted, `utils` are got; those may be posted
    /// too, as some clients do.
    pub fn methods(self) -> &'static str {
        match self {
            Self::Util(UtilCall::Report) => "POST, OPTIONS",
            Self::Util(_) | Self::Webexe(ListedCall::GetLoginInfo) => "GET, HEAD, POST, OPTIONS",
            Self::Entry(_) | Self::Room(..) | Self::Webrtc(_) | Self::Webexe(_) => "POST, OPTIONS",
        }
    }

    /// What it asks for, as limits count it.
    pub const fn asks_for(self) -> Budget {
        match self {
            Self::Entry(call) => call.asks_for(),
            Self::Room(_, call) => call.asks_for(),
            Self::Util(call) => call.asks_for(),
            Self::Webrtc(call) | Self::Webexe(call) => call.asks_for(),
        }
    }

    /// Whether the call is made this way.
    pub fn allows(self, method: &Method) -> bool {
        self.methods().split(", ").any(|name| name == method.as_str())
    }
}

/// The call that a path names.
pub fn find(path: &str) -> Option<Name> {
    // The first servers did not mind how a path is written, and a client of theirs asks for `get_custom_Info`.
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return find(&path.to_ascii_lowercase());
    }
    let (place, call) = path.strip_prefix("/weapp/")?.split_once('/')?;
    if place == "utils" {
        return UtilCall::find(call).map(Name::Util);
    }
    let kind = Kind::ALL.into_iter().find(|kind| kind.path() == place)?;
    match kind {
        Kind::Double | Kind::Multi | Kind::Live => {}
        Kind::Webrtc => return ListedCall::find(call).filter(|call| *call != ListedCall::Delete).map(Name::Webrtc),
        Kind::Webexe => return ListedCall::find(call).map(Name::Webexe),
    }
    let entry = EntryCall::find(call).map(Name::Entry);
    entry.or_else(|| RoomCall::find(call).filter(|call| call.is_of(kind)).map(|call| Name::Room(kind, call)))
}

/// Every path that names a call, by all its names: below the kinds of rooms, and elsewhere.
#[cfg(test)]
pub fn paths() -> (Vec<String>, Vec<String>) {
    let below = |places: &[&str], names: &[&str]| -> Vec<String> {
        places.iter().flat_map(|place| names.iter().map(move |name| format!("/weapp/{place}/{name}"))).collect()
    };
    let rooms = below(&["double_room", "multi_room", "live_room"], &[EntryCall::NAMES, RoomCall::NAMES].concat());
    let others = [below(&["utils"], UtilCall::NAMES), below(&["webrtc_room", "webexe_room"], ListedCall::NAMES)];
    (rooms, others.concat())
}
