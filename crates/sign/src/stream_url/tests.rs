//! Every form of address in the documents, and what is no address of a stream.

use super::*;
use proptest::prelude::*;

#[test]
fn the_forms_of_the_documents() {
    let url = StreamUrl::parse(
        "rtmp://5000.livepush.myqcloud.com/live/5000_room1_user1?bizid=5000&txSecret=ab&txTime=5C271099",
    )
    .unwrap();
    assert_eq!(url.scheme, Scheme::Rtmp);
    assert_eq!(url.host, "5000.livepush.myqcloud.com");
    assert_eq!((url.port, &*url.app, &*url.stream), (None, "live", "5000_room1_user1"));
    assert_eq!(url.query.get("bizid"), Some("5000"));
    assert_eq!(url.query.get("txTime"), Some("5C271099"));
    assert_eq!(url.query.iter().count(), 3);

    let cases = [
        ("rtmp://h:1935/live/s", Scheme::Rtmp, "h", Some(1935), "live", "s", None),
        ("RTMPS://h/live/s", Scheme::Rtmps, "h", None, "live", "s", None),
        ("http://h:5757/live/s.flv", Scheme::Http, "h", Some(5757), "live", "s", Some(Extension::Flv)),
        ("https://h/live/s.m3u8?x", Scheme::Https, "h", None, "live", "s", Some(Extension::M3u8)),
        ("http://h/live/a~2eb", Scheme::Http, "h", None, "live", "a~2eb", None),
        ("webrtc://1.2.3.4/live/s", Scheme::WebRtc, "1.2.3.4", None, "live", "s", None),
        ("rtmp://[2001:db8::1]:1935/live/s", Scheme::Rtmp, "2001:db8::1", Some(1935), "live", "s", None),
        ("rtmp://h/app/instance/s", Scheme::Rtmp, "h", None, "app/instance", "s", None),
        ("rtmp://h/live/a%2Db%5fc", Scheme::Rtmp, "h", None, "live", "a-b_c", None),
        ("rtmp://h/live/s.flv", Scheme::Rtmp, "h", None, "live", "s.flv", None),
        ("srt://h:9000/live/s", Scheme::Srt, "h", Some(9000), "live", "s", None),
    ];
    for (text, scheme, host, port, app, stream, extension) in cases {
        let url = StreamUrl::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        let got = (url.scheme, url.host, url.port, &*url.app, &*url.stream, url.extension);
        assert_eq!(got, (scheme, host, port, app, stream, extension), "{text}");
    }
}

#[test]
fn srt_has_everything_in_the_streamid() {
    let url = StreamUrl::parse("srt://h:9000?streamid=#!::h=h,r=live/s,txSecret=ab,txTime=5C&latency=200").unwrap();
    assert_eq!((url.port, &*url.app, &*url.stream), (Some(9000), "live", "s"));
    assert_eq!(url.query.get("txSecret"), Some("ab"));
    assert_eq!(url.query.get("txTime"), Some("5C"));
    for bad in [
        "srt://h?streamid=live/s",
        "srt://h?streamid=#!::h=h",
        "srt://h?streamid=#!::r=live/s,r=live/t",
        "srt://h?streamid=#!::r=live/s,txTime=1,txTime=2",
        "srt://h?streamid=#!::r=s",
        "srt://h?streamid=#!::r",
    ] {
        assert_eq!(StreamUrl::parse(bad).unwrap_err().step(), 1, "{bad}");
    }
}

#[test]
fn refused() {
    let long = format!("rtmp://h/live/{}", "s".repeat(5000));
    let many = format!("rtmp://h/live/s?{}", (0..40).map(|i| format!("p{i}=1&")).collect::<String>());
    for bad in [
        "",
        "rtmp",
        "rtmp://",
        "rtmp://h",
        "rtmp://h/",
        "rtmp://h/live",
        "rtmp://h/live/",
        "rtmp://h//s",
        "ftp://h/live/s",
        "rtmp:///live/s",
        "rtmp://h:/live/s",
        "rtmp://h:99999/live/s",
        "rtmp://h:+1/live/s",
        "rtmp://u:p@h/live/s",
        "rtmp://[::1/live/s",
        "rtmp://[x]/live/s",
        "rtmp://[::1]x/live/s",
        "rtmp://a:b:c/live/s",
        "rtmp://h/live/a b",
        "rtmp://h/live/a%20b",
        "rtmp://h/live/a%2Fb",
        "rtmp://h/live/%2e%2e",
        "rtmp://h/../s",
        "rtmp://h/live/a%252Fb",
        "rtmp://h/live/%",
        "rtmp://h/live/%f",
        "rtmp://h/live/%ff",
        "rtmp://h/live/s?a=1&a=2",
        "http://h/live/.flv",
        "http://h/live/..flv",
        "rtmp://h/live/s?a=%zz",
        &long,
        &many,
    ] {
        assert_eq!(StreamUrl::parse(bad).map_err(|why| why.step()), Err(1), "{bad}");
    }
}

proptest! {
    #[test]
    fn names_that_we_make_are_read_back(id in "\\PC{1,20}") {
        let name = stream_name::encode_part(&id);
        for (start, end) in [("rtmp://h/live/", ""), ("http://h/live/", ".flv"), ("https://h/live/", ".m3u8?a=b")] {
            let text = format!("{start}{name}{end}");
            let url = StreamUrl::parse(&text).unwrap();
            prop_assert_eq!(&url.stream, &name);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(rtmp|http|srt)://\\PC{0,100}", query in "\\PC{0,100}") {
        if let Ok(url) = StreamUrl::parse(&text) {
            prop_assert!(stream_name::is_valid(&url.stream));
        }
        let _ = Query::parse(&query);
    }
}
