//! `--lan`: which of this machine's addresses phones in the same network reach, and what is printed for those who hold one.
//! Opens no sockets; the certificate is made in `edge`.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// Where a phone gets what it may be told to trust.
pub const AUTHORITY: &str = "/authority.crt";

/// What production mode says.
pub const NOT_HERE: &str = "--lan is for development mode, where whoever comes can log in as anyone; in production phones come by a name with a certificate, see docs/recipes/phones.md";

/// Interfaces that lead to containers, virtual machines and tunnels, by what their names begin with: for systems that do not
/// say what stands behind an interface.
const ELSEWHERE: [&str; 12] =
    ["lo", "bridge", "utun", "tun", "tap", "wg", "vmnet", "vnic", "ppp", "ipsec", "feth", "zt"];
/// Where Linux says it.
const INTERFACES: &str = "/sys/class/net";

/// The address to serve at; `production`: of a server in production mode.
///
/// # Errors
/// There is none, or not this one; the text says what there is.
pub fn address(asked: Option<IpAddr>, production: bool) -> Result<IpAddr, String> {
    if production {
        return Err(NOT_HERE.into());
    }
    let interfaces = if_addrs::get_if_addrs().map_err(|e| format!("--lan: this machine's addresses: {e}"))?;
    let interfaces: Vec<_> = interfaces.into_iter().map(|one| (one.name.clone(), one.ip())).collect();
    choose(asked, &interfaces, on_the_way_out(), |name| leads(Path::new(INTERFACES), name))
}

/// Refuses proxies elsewhere: a machine of the network with such an address could say where others come from.
///
/// # Errors
/// There is one; the text says which.
pub fn trusts_nobody(proxies: &[String]) -> Result<(), String> {
    let is_here = |text: &&String| {
        let (address, length) = text.split_once('/').map_or((text.as_str(), None), |(a, l)| (a, l.parse::<u32>().ok()));
        let least = if address.contains(':') { 128 } else { 8 };
        address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) && length.is_none_or(|length| length >= least)
    };
    match proxies.iter().find(|text| !is_here(text)) {
        None => Ok(()),
        Some(other) => {
            Err(format!("--lan: http.trusted_proxies has {other}, which anyone in the network may be: leave it out"))
        }
    }
}

/// The name of the interface that has this address.
#[must_use]
pub fn interface(address: IpAddr) -> Option<String> {
    let all = if_addrs::get_if_addrs().ok()?;
    all.into_iter().find(|one| one.ip() == address).map(|one| one.name)
}

/// Whether phones can be behind an interface: there is hardware in it, or below it if it is a bridge, a bond or a VLAN (a tunnel
/// leads over hardware, too); and no modem, and not one peer at the other end.
fn leads(interfaces: &Path, name: &str) -> bool {
    const POINT_TO_POINT: u32 = 0x10;
    if !interfaces.is_dir() {
        return !ELSEWHERE.iter().any(|one| name.starts_with(one));
    }
    let of_it = interfaces.join(name);
    let flags = std::fs::read_to_string(of_it.join("flags")).unwrap_or_default();
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or_default();
    let kind = std::fs::read_to_string(of_it.join("uevent")).unwrap_or_default();
    let is = |what: &str| kind.lines().any(|line| line.strip_prefix("DEVTYPE=") == Some(what));
    let joins = ["bridge", "bond", "vlan"].into_iter().any(is);
    let below = || {
        let all = std::fs::read_dir(&of_it).into_iter().flatten().flatten();
        let names = all.filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix("lower_")?.to_owned()));
        names.filter(|lower| lower != name).collect::<Vec<_>>()
    };
    flags & POINT_TO_POINT == 0
        && !is("wwan")
        && (of_it.join("device").exists() || joins && below().iter().any(|lower| leads(interfaces, lower)))
}

/// The address that the system takes for what is elsewhere. Nothing is sent.
fn on_the_way_out() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:53").ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn choose(
    asked: Option<IpAddr>,
    interfaces: &[(String, IpAddr)],
    out: Option<IpAddr>,
    leads: impl Fn(&str) -> bool,
) -> Result<IpAddr, String> {
    let there = || {
        let mut list = String::new();
        for (name, ip) in interfaces.iter().filter(|(_, ip)| is_served(*ip)) {
            let _ = write!(list, "\n  {ip} ({name})");
        }
        if list.is_empty() { " none".to_owned() } else { list }
    };
    if let Some(asked) = asked {
        if !interfaces.iter().any(|(_, ip)| *ip == asked) {
            return Err(format!(
                "--lan {asked}: this machine does not have that address; of private networks it has:{}",
                there()
            ));
        }
        if !is_served(asked) {
            return Err(format!(
                "--lan {asked}: that is no address of a private network, of which this machine has:{}",
                there()
            ));
        }
        return Ok(asked);
    }
    let mut near = interfaces.iter().filter(|(name, ip)| is_served(*ip) && leads(name)).map(|(_, ip)| *ip);
    let first = near.clone().find(IpAddr::is_ipv4).or_else(|| near.clone().next());
    let chosen = near.find(|ip| Some(*ip) == out).or(first);
    chosen.ok_or_else(|| {
        format!(
            "--lan: no Wi-Fi or cable leads to a private network; join one, or name an address (--lan ADDRESS) of:{}",
            there()
        )
    })
}

/// Whether an address is of a private network: nobody on the internet reaches it.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Whether phones can be sent there: an address that needs its interface's name does not go into a URL.
fn is_served(address: IpAddr) -> bool {
    is_private(address) && !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// What is printed at the start: where to go with a phone, and what that means. `colours`: for a terminal.
#[must_use]
pub fn greeting(at: SocketAddr, interface: Option<&str>, colours: bool) -> String {
    let url = format!("https://{at}");
    let by = interface.map_or_else(String::new, |name| format!(" ({name})"));
    let mut text = format!(
        "\n  DEVELOPMENT ONLY: everyone in the network of {}{by} can log in here as anyone, until this program ends.\n\n",
        at.ip()
    );
    if let Ok(code) = QrCode::new(format!("{url}/")) {
        for line in picture(&code, colours).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    let _ = write!(
        text,
        "\n  phone      {url}/ and on this machine the first address above\n  \
         warning    nobody vouches for the certificate: Android and laptops: \"Advanced\", then \"Proceed\"; iPhone and iPad: open\n             \
         {url}{AUTHORITY}, install it (Settings > General > VPN & Device Management), and switch\n             \
         it on in Settings > General > About > Certificate Trust Settings; remove it when you are done\n"
    );
    text
}

/// Two rows of modules in one line, the light ones drawn: what a terminal writes is white on black here, whatever it is
/// otherwise, and elsewhere a dark background is likelier.
fn picture(code: &QrCode, colours: bool) -> String {
    let drawn = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    if !colours {
        return drawn;
    }
    drawn.lines().map(|line| format!("\x1b[38;5;231;48;5;16m{line}\x1b[0m\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn machine(of: &[(&str, &str)]) -> Vec<(String, IpAddr)> {
        of.iter().map(|(name, address)| ((*name).to_owned(), ip(address))).collect()
    }

    fn wire(name: &str) -> bool {
        ["en", "eth", "wlan"].iter().any(|known| name.starts_with(known))
    }

    #[test]
    fn phones_are_behind_hardware_and_not_behind_tunnels() {
        let dir = tempfile::tempdir().unwrap();
        let interface = |name: &str, kind: &str, flags: &str, holds: &[&str]| {
            let of_it = dir.path().join(name);
            std::fs::create_dir(&of_it).unwrap();
            std::fs::write(of_it.join("uevent"), format!("DEVTYPE={kind}\nINTERFACE={name}\n")).unwrap();
            std::fs::write(of_it.join("flags"), format!("{flags}\n")).unwrap();
            holds.iter().for_each(|name| std::fs::create_dir(of_it.join(name)).unwrap());
        };
        interface("wlp3s0", "wlan", "0x1003", &["device"]);
        interface("br0", "bridge", "0x1003", &["lower_wlp3s0"]);
        interface("veth1", "veth", "0x1003", &[]);
        interface("docker0", "bridge", "0x1003", &["lower_veth1"]);
        interface("ppp0", "ppp", "0x10d1", &[]);
        // A tunnel over the Wi-Fi; a modem that says it is none.
        interface("flannel.1", "vxlan", "0x1003", &["lower_wlp3s0"]);
        interface("wwan1", "wwan", "0x1003", &["device"]);
        interface("wwan0", "wwan", "0x10d1", &["device"]);
        for (name, near) in [("wlp3s0", true), ("br0", true), ("docker0", false), ("veth1", false)] {
            assert_eq!(leads(dir.path(), name), near, "{name}");
        }
        // However a VPN names it.
        for name in ["ppp0", "wwan0", "wwan1", "flannel.1", "gpd0", "cscotun0", "nordlynx", "wt0"] {
            assert!(!leads(dir.path(), name), "{name}");
        }
        let elsewhere = dir.path().join("no such system");
        assert!(leads(&elsewhere, "en0") && !leads(&elsewhere, "utun3"));
    }

    #[test]
    fn a_phone_is_sent_to_the_wifi_and_not_to_a_tunnel() {
        let all = machine(&[
            ("lo", "127.0.0.1"),
            ("docker0", "172.17.0.1"),
            ("tun0", "10.8.0.2"),
            ("enp3s0", "10.0.0.4"),
            ("wlan0", "192.168.1.5"),
            ("wlan0", "fd00::5"),
        ]);
        assert_eq!(choose(None, &all, Some(ip("192.168.1.5")), wire), Ok(ip("192.168.1.5")), "where the route goes");
        assert_eq!(choose(None, &all, Some(ip("10.8.0.2")), wire), Ok(ip("10.0.0.4")), "the route goes into a tunnel");
        assert_eq!(choose(None, &all, None, wire), Ok(ip("10.0.0.4")));
        assert_eq!(choose(Some(ip("10.8.0.2")), &all, None, wire), Ok(ip("10.8.0.2")), "who asks gets it");
        assert_eq!(choose(None, &machine(&[("wlan0", "fd00::5")]), None, wire), Ok(ip("fd00::5")));
    }

    #[test]
    fn what_does_not_work_is_said_with_what_does() {
        let all =
            machine(&[("lo", "127.0.0.1"), ("docker0", "172.17.0.1"), ("eth0", "203.0.113.7"), ("eth0", "fe80::1")]);
        let why = choose(None, &all, Some(ip("203.0.113.7")), wire).unwrap_err();
        assert!(why.contains("join one") && why.ends_with("of:\n  172.17.0.1 (docker0)"), "{why}");
        for wrong in ["192.168.1.9", "203.0.113.7", "127.0.0.1", "fe80::1"] {
            let why = choose(Some(ip(wrong)), &all, None, wire).unwrap_err();
            assert!(why.contains(wrong) && why.contains("172.17.0.1 (docker0)"), "{why}");
        }
        assert!(choose(None, &machine(&[]), None, wire).unwrap_err().ends_with("of: none"));
        assert_eq!(address(None, true), Err(NOT_HERE.to_owned()));
    }

    #[test]
    fn nobody_in_the_network_is_believed_where_others_come_from() {
        let of = |list: &[&str]| trusts_nobody(&list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["127.0.0.1", "::1", "127.0.0.0/8"]), Ok(()));
        for wrong in ["192.168.1.0/24", "127.0.0.0/1", "::/0", "10.0.0.1"] {
            assert!(of(&["::1", wrong]).unwrap_err().contains(wrong));
        }
    }

    #[test]
    fn the_greeting_is_loud_and_leads_there() {
        let text = greeting("192.168.1.5:5757".parse().unwrap(), Some("wlan0"), true);
        for part in [
            "DEVELOPMENT ONLY",
            "192.168.1.5 (wlan0)",
            "https://192.168.1.5:5757/",
            "/authority.crt",
            "\x1b[38;5;231;48;5;16m",
        ] {
            assert!(text.contains(part), "{part}");
        }
        let plain = greeting("192.168.1.5:5757".parse().unwrap(), None, false);
        assert!(!plain.contains('\x1b'));
        assert!(plain.lines().all(|line| line.chars().count() < 132), "{plain}");
        let rows: Vec<_> = plain.lines().filter(|line| line.contains('█')).collect();
        assert!(rows.len() > 12 && rows.iter().all(|row| row.chars().count() == rows[0].chars().count()));
    }
}
