//! What lines are called (`a=mid`): str0m holds short names of letters and digits alone.

use super::Sdp;

/// What packets say which line they are of by.
const MID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// Whether str0m takes a line's name as it is.
fn is_plain(name: &str) -> bool {
    (1..=16).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Sdp {
    /// Calls lines what str0m can hold. Packets then do not say which line they are of, since the peer would say its own name.
    pub(super) fn name_lines(&mut self) {
        let names: Vec<&str> = self.sections.iter().flat_map(|section| section.value("a=mid:")).collect();
        let free = (0..).map(|n| format!("line{n}")).filter(|name| !names.contains(&name.as_str()));
        let odd = names.iter().filter(|name| !is_plain(name)).map(|name| (*name).to_owned());
        let mids: Vec<(String, String)> = free.zip(odd).collect();
        if mids.is_empty() {
            return;
        }
        self.call_lines(|name| mids.iter().find(|(_, odd)| odd == name).map(|(plain, _)| plain.as_str()));
        let named = |line: &String| line.starts_with("a=extmap:") && line.contains(MID_EXTENSION);
        self.session.retain(|line| !named(line));
        self.sections.iter_mut().for_each(|section| section.lines.retain(|line| !named(line)));
        self.mids = mids;
    }

    /// Whether all lines have the names that the peer gave them.
    pub fn has_own_names(&self) -> bool {
        self.mids.is_empty()
    }

    /// Calls the lines of an answer what the offer calls them.
    pub fn call_as(&mut self, offer: &Sdp) {
        self.call_lines(|name| offer.mids.iter().find(|(plain, _)| plain == name).map(|(_, odd)| odd.as_str()));
    }

    /// Calls lines by other names, where there are any.
    fn call_lines<'a>(&mut self, other: impl Fn(&str) -> Option<&'a str>) {
        for line in self.sections.iter_mut().flat_map(|section| &mut section.lines) {
            if let Some(name) = line.strip_prefix("a=mid:").and_then(&other) {
                *line = format!("a=mid:{name}");
            }
        }
        if let Some(group) = self.session.iter_mut().find(|line| line.starts_with("a=group:BUNDLE")) {
            *group = group.split(' ').map(|name| other(name).unwrap_or(name)).collect::<Vec<_>>().join(" ");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Way;
    use super::super::tests::OFFER;
    use super::*;

    #[test]
    fn lines_are_answered_by_their_own_names() {
        let long = "video-track-000000000000000001";
        let extension = "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
        let lines = OFFER.replace("a=rtpmap:97", &format!("a=mid:{long}\r\n{extension}a=rtpmap:97"));
        let mut offer = Sdp::read(&lines.replace("a=mid:sound", "a=mid:line0"));
        offer.complete(Way::Out).unwrap();
        let text = offer.text();
        assert!(text.contains("a=group:BUNDLE line1 line0\r\n") && text.contains("a=mid:line1\r\n"), "{text}");
        assert!(!text.contains("sdes:mid") && !offer.has_own_names(), "{text}");
        let mut answer = Sdp::read("v=0\r\na=group:BUNDLE line1 line0\r\nm=video 9 X 96\r\na=mid:line1\r\n");
        answer.call_as(&offer);
        let wanted = format!("v=0\r\na=group:BUNDLE {long} line0\r\nm=video 9 X 96\r\na=mid:{long}\r\n");
        assert_eq!(answer.text(), wanted);
        let mut plain = Sdp::read(&lines.replace(long, "video"));
        plain.complete(Way::Out).unwrap();
        assert!(plain.has_own_names() && plain.text().contains("sdes:mid"));
    }
}
