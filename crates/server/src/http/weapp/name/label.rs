//! The calls as metrics name them: a dense number for counting, a label for showing.

use super::Name;

/// The labels, by `Name::index`; the last one is for paths that name no call.
pub const LABELS: [&str; 41] = [
    "login",
    "logout",
    "get_push_url",
    "create_room",
    "add_pusher",
    "get_pushers",
    "get_room_list",
    "pusher_heartbeat",
    "delete_pusher",
    "destroy_room",
    "add_audience",
    "delete_audience",
    "get_audiences",
    "set_custom_field",
    "get_custom_info",
    "merge_stream",
    "get_login_info",
    "get_test_pushurl",
    "get_test_rtmpaccurl",
    "check_config",
    "logfilelist",
    "getlogfile",
    "report",
    "webrtc_room/get_login_info",
    "webrtc_room/create_room",
    "webrtc_room/enter_room",
    "webrtc_room/quit_room",
    "webrtc_room/heartbeat",
    "webrtc_room/get_room_list",
    "webrtc_room/get_room_members",
    "webexe_room/get_login_info",
    "webexe_room/create_room",
    "webexe_room/enter_room",
    "webexe_room/quit_room",
    "webexe_room/heartbeat",
    "webexe_room/get_room_list",
    "webexe_room/get_room_members",
    "webexe_room/delete_room",
    "get_record_list",
    "get_im_login_info",
    "unknown",
];

/// The index of what is no call.
pub const UNKNOWN: usize = LABELS.len() - 1;

impl Name {
    /// Where its figures stand.
    pub const fn index(self) -> usize {
        match self {
            Self::Login => 0,
            Self::Logout => 1,
            Self::GetPushUrl => 2,
            Self::CreateRoom => 3,
            Self::AddPusher => 4,
            Self::GetPushers => 5,
            Self::GetRoomList => 6,
            Self::Heartbeat => 7,
            Self::DeletePusher => 8,
            Self::DestroyRoom => 9,
            Self::AddAudience => 10,
            Self::DeleteAudience => 11,
            Self::GetAudiences => 12,
            Self::SetCustomField => 13,
            Self::GetCustomInfo => 14,
            Self::MergeStream => 15,
            Self::GetLoginInfo => 16,
            Self::GetTestPushUrl => 17,
            Self::GetTestRtmpAccUrl => 18,
            Self::CheckConfig => 19,
            Self::LogFileList => 20,
            Self::GetLogFile => 21,
            Self::Report => 22,
            Self::Webrtc(name) => 23 + name as usize,
            Self::Webexe(name) => 30 + name as usize,
            Self::GetRecordList => 38,
            Self::GetImLoginInfo => 39,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;

    #[test]
    fn labels_are_the_names_in_paths() {
        for (index, label) in LABELS.iter().enumerate().take(UNKNOWN) {
            let places = ["live_room/", "utils/", ""];
            let found = places.iter().find_map(|place| find(&format!("/weapp/{place}{label}")));
            assert_eq!(found.map(|(_, name)| name.index()), Some(index), "{label}");
        }
    }
}
