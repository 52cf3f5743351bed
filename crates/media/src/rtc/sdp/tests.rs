//! Offers and answers as peers write them, and what is made of them.

use super::*;

pub(super) const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 RTP/SAVPF 96 97\r\n\
    a=rtpmap:97 H264/90000\r\na=rtpmap:96 VP8/90000\r\nm=audio 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:sound\r\n\
    a=rtpmap:98 OPUS/48000\r\na=recvonly\r\n";

#[test]
fn what_offers_leave_out_is_put_in() {
    let mut sdp = Sdp::read(OFFER);
    sdp.complete(Way::Out).unwrap();
    let text = sdp.text();
    for line in [
        "a=group:BUNDLE 0 sound",
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
        "a=mid:0",
        "a=recvonly",
        "a=fmtp:97 packetization-mode=1;profile-level-id=42e01f",
        "a=rtpmap:98 opus/48000/2",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
    assert_eq!(sdp.video_codecs(), [Codec::Vp8, Codec::H264]);
    assert_eq!(text.matches("a=recvonly").count(), 2);
}

#[test]
fn a_bundle_names_the_lines_that_are_there_in_their_order() {
    let lines = OFFER.replace("a=mid:sound", "a=mid:1");
    for group in ["0 1", "1 0", "0", "1", "0 1 2", ""] {
        let offer = lines.replace("t=0 0\r\n", &format!("t=0 0\r\na=group:BUNDLE {group}\r\n"));
        let mut sdp = Sdp::read(&offer);
        sdp.complete(Way::Out).unwrap();
        assert!(sdp.text().contains("a=group:BUNDLE 0 1\r\n"), "{group}: {}", sdp.text());
    }
    // One that has said no to a line leaves it out.
    let mut sdp = Sdp::read(&lines.replace("m=video 9", "m=video 0"));
    sdp.complete(Way::Out).unwrap();
    assert!(sdp.text().contains("a=group:BUNDLE 1\r\n"));
    let apart =
        lines.replace("a=mid:1", "a=mid:1\r\na=ice-ufrag:b").replace("a=rtpmap:97", "a=ice-ufrag:a\r\na=rtpmap:97");
    let apart = apart.replace("t=0 0\r\n", "t=0 0\r\na=group:BUNDLE 0\r\n");
    assert!(matches!(Sdp::read(&apart).complete(Way::Out), Err(Refused::Unprocessable(_))));
    let bundled = apart.replace("BUNDLE 0\r\n", "BUNDLE 0 1\r\n");
    assert!(Sdp::read(&bundled).complete(Way::Out).is_ok(), "the peer says itself that they are one");
    let none = apart.replace("a=group:BUNDLE 0\r\n", "");
    assert!(matches!(Sdp::read(&none).complete(Way::Out), Err(Refused::Unprocessable(_))));
}

#[test]
fn profiles_are_found_by_other_names_and_answered_by_the_peers() {
    let cases = [
        ("422001f", "42e01f"),
        ("641028", "640028"),
        ("644028", "640028"),
        ("640829", "640029"),
        ("64003C", "640034"),
        ("42e009", "42e00a"),
        ("4d4028", "4d0028"),
        ("42C029", "42c029"),
        ("640c1f", "640c1f"),
        ("4d8020", "4d8020"),
    ];
    for (given, usual) in cases {
        assert_eq!(usual_profile(given).as_deref(), Some(usual), "{given}");
    }
    for none in ["", "x", "42", "7a001f", "6e001f", "42é01f", "zz001f", "420000001f"] {
        assert_eq!(usual_profile(none), None, "{none}");
    }
    let fmtp = "a=fmtp:97 packetization-mode=1;profile-level-id=641028;level-asymmetry-allowed=1";
    let offer = OFFER.replace("a=rtpmap:96", &format!("{fmtp}\r\na=rtpmap:96"));
    let mut sdp = Sdp::read(&offer);
    sdp.complete(Way::Out).unwrap();
    assert!(sdp.text().contains("profile-level-id=640028;level"), "{}", sdp.text());
    let mut answer = Sdp::read("v=0\r\nm=video 9 X 97\r\na=fmtp:97 a=1;profile-level-id=64001f\r\n");
    answer.rename(&sdp);
    assert_eq!(answer.text(), "v=0\r\nm=video 9 X 97\r\na=fmtp:97 a=1;profile-level-id=641028\r\n");
    assert_eq!(without_level("a=fmtp:45 level-idx=8;profile=0;tier=0"), "a=fmtp:45 profile=0;tier=0");
    assert_eq!(without_level("a=fmtp:45 level-idx=8"), "a=fmtp:45 profile=0");
    assert_eq!(without_level("a=fmtp:45 level-idx=5;profile=0"), "a=fmtp:45 level-idx=5;profile=0");
}

#[test]
fn lines_that_go_the_wrong_way_or_come_twice_are_named() {
    let said = |text: &str, way| match Sdp::read(text).complete(way) {
        Err(Refused::Unprocessable(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(said(OFFER, Way::In), "the audio line is recvonly: a publisher offers sendonly");
    let two = OFFER.replace("m=audio", "m=video").replace("OPUS/48000", "VP8/90000");
    assert_eq!(said(&two, Way::Out), "two video lines: a stream has one");
}

#[test]
fn answers_are_reachable_over_every_accepted_line() {
    let offer = Sdp::read(
        "v=0\r\nm=video 9 X 96\r\na=mid:0\r\nm=audio 9 X 98\r\na=mid:1\r\na=fmtp:98 stereo=1\r\na=rtcp-fb:98 nack\r\n\
         a=rtcp-rsize\r\n",
    );
    let mut sdp = Sdp::read(
        "v=0\r\na=group:BUNDLE 0 1\r\nm=video 0 X 0\r\na=mid:0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n\
         m=audio 9 X 98\r\na=mid:1\r\na=rtpmap:98 opus/48000/2\r\na=fmtp:98 minptime=10\r\na=rtcp-fb:98 nack\r\n\
         a=rtcp-fb:98 transport-cc\r\n",
    );
    sdp.answer(&offer);
    assert_eq!(
        sdp.text(),
        "v=0\r\na=group:BUNDLE 1\r\nm=video 0 X 0\r\na=mid:0\r\nm=audio 9 X 98\r\na=mid:1\r\na=rtpmap:98 opus/48000/2\r\n\
         a=fmtp:98 minptime=10;stereo=1;sprop-stereo=1\r\na=rtcp-fb:98 nack\r\n\
         a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\na=end-of-candidates\r\na=rtcp-rsize\r\n"
    );
}

#[test]
fn what_is_shown_stands_first_with_what_repairs_it() {
    let mut sdp = Sdp::read(
        "v=0\r\nm=audio 9 X 98\r\nm=video 9 X 102 103 96 97 104\r\na=fmtp:97 apt=96\r\na=fmtp:103 apt=102\r\n",
    );
    sdp.begin_with([96]);
    assert_eq!(sdp.sections[1].lines[0], "m=video 9 X 96 97 102 103 104");
}

#[test]
fn a_fragment_names_the_bundle_and_the_line_that_stands_for_it() {
    let answer = "v=0\r\na=group:BUNDLE b\r\nm=video 0 X 0\r\na=mid:a\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtcp-mux\r\na=mid:b\r\n";
    assert_eq!(
        Sdp::read(answer).fragment(),
        "a=ice-lite\r\na=ice-options:trickle ice2\r\na=group:BUNDLE b\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:b\r\n"
    );
}

#[test]
fn sound_is_asked_for_as_it_was_offered() {
    let answered = |formats: &str, fmtp: &str| {
        let offer = format!("v=0\r\nm=audio 9 X {formats}\r\na=rtpmap:98 opus/48000/2\r\na=fmtp:98 {fmtp}\r\n");
        let answer = "v=0\r\nm=audio 9 X 98 63\r\na=rtpmap:98 opus/48000/2\r\na=fmtp:98 useinbandfec=1\r\n";
        let mut answer = Sdp::read(answer);
        answer.answer(&Sdp::read(&offer));
        let text = answer.text();
        let line = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix)).unwrap().to_owned();
        (line("m=audio 9 X "), line("a=fmtp:98 "))
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(answered("98 63", "minptime=10"), pair("98 63", "useinbandfec=1"));
    assert_eq!(answered("63 9 98", "usedtx=1; stereo=1").0, "63 98");
    let both = "useinbandfec=1;stereo=1;sprop-stereo=1;usedtx=1";
    assert_eq!(answered("98 63", "stereo=1;usedtx=1").1, both);
    assert_eq!(answered("98 63", "usedtx=0"), pair("98 63", "useinbandfec=1"));
}

#[test]
fn data_channels_are_rejected_in_their_line() {
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:data\r\na=sctp-port:5000\r\n";
    let mut offer = Sdp::read(&OFFER.replace("m=audio", &format!("{data}m=audio")));
    offer.complete(Way::Out).unwrap();
    let others = offer.take_others();
    assert!(!offer.text().contains("application") && offer.text().contains("a=group:BUNDLE 0 sound\r\n"));
    let mut answer = Sdp::read("v=0\r\nm=video 9 X 96\r\na=mid:0\r\nm=audio 9 X 98\r\na=mid:sound\r\n");
    answer.reject(others);
    assert_eq!(
        answer.text(),
        "v=0\r\nm=video 9 X 96\r\na=mid:0\r\nm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n\
         c=IN IP4 0.0.0.0\r\na=mid:data\r\nm=audio 9 X 98\r\na=mid:sound\r\n"
    );
}

#[test]
fn a_publisher_gets_the_codec_that_most_can_play() {
    use Codec::{Av1, H264, Vp8, Vp9};
    let cases: [(&[Codec], Option<Codec>); 5] = [
        (&[Vp8, Vp9, H264, Av1], Some(H264)),
        (&[Vp8, Vp9], Some(Vp8)),
        (&[Av1, H264], Some(Av1)),
        (&[H264], Some(H264)),
        (&[], None),
    ];
    for (offered, chosen) in cases {
        assert_eq!(choose(offered), chosen, "{offered:?}");
    }
}
