//! With default settings nothing can be reached from elsewhere: the program runs as it is typed, in a network of its
//! own that has an address besides the loopback one.

use std::process::Stdio;

use crate::kit::directory;
use testkit::bounded::program;

/// Runs in a fresh network: the program on its default ports, then a look at what it listens on, then knocking at the
/// other address. Prints `listens PROTOCOL ADDRESS` and `reached ADDRESS`.
const SCRIPT: &str = r#"
ip link set lo up
ip link add outside type dummy
ip addr add 192.0.2.1/24 dev outside
ip link set outside up
"$ROOMSERVICE" >greeting 2>log &
server=$!
for _ in $(seq 200); do
    curl -s -o /dev/null http://127.0.0.1:5757/ && break
    sleep 0.1
done
curl -s -o /dev/null -w 'answers %{http_code}\n' http://127.0.0.1:5757/weapp/utils/get_login_info
ss -Hlntu | awk '{print "listens", $1, $5}'
for port in $(ss -Hlnt | awk '{print $4}' | sed 's/.*://' | sort -u); do
    (exec 3<>/dev/tcp/192.0.2.1/$port) 2>/dev/null && echo "reached 192.0.2.1:$port"
done
kill $server
wait $server 2>/dev/null
true
"#;

#[test]
fn default_settings_serve_this_machine_only() {
    let dir = directory();
    // The program's own directory and nothing else: as somebody types it who has read nothing.
    let roomservice = env!("CARGO_BIN_EXE_roomservice");
    let mut command = program("unshare");
    // Root may; others need a user namespace for it.
    let root = program("id").arg("-u").output().unwrap().stdout == b"0\n";
    command.arg("--net").args((!root).then_some("--map-root-user")).args(["bash", "-c", SCRIPT]);
    command.current_dir(&dir).env("ROOMSERVICE", roomservice);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("answers 200"), "{said}{complaints}");
    let listens: Vec<(&str, &str)> =
        said.lines().filter_map(|line| line.strip_prefix("listens ")?.split_once(' ')).collect();
    // WebRTC is reached at this machine's own address too, which Firefox wants, and drops what comes from other machines.
    const WEBRTC: (&str, &str) = ("udp", "0.0.0.0:8000");
    for expected in [("tcp", "127.0.0.1:5757"), ("tcp", "127.0.0.1:1935"), ("tcp", "127.0.0.1:8000"), WEBRTC] {
        assert!(listens.contains(&expected), "{expected:?} is missing in {listens:?}");
    }
    let open: Vec<_> = listens.iter().filter(|listens| **listens != WEBRTC && !listens.1.starts_with("127.")).collect();
    assert!(open.is_empty(), "others can come to {open:?}");
    assert!(!said.contains("reached"), "{said}");
    std::fs::remove_dir_all(dir).unwrap();
}
