//! WHIP and WHEP as their documents have them (docs/webrtc.md), with a media server that listens.

use std::time::{Duration, Instant};

use axum::http::{HeaderName, Method};
use tokio_util::sync::CancellationToken;

use super::*;

/// An offer with a line of each kind; `way` and `codec` are put in.
fn offer(way: &str, codec: &str) -> String {
    let print = ["AB"; 32].join(":");
    let common = format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 {print}\r\n\
         a=setup:actpass\r\na=rtcp-mux\r\na=rtcp-mux-only\r\na={way}\r\n"
    );
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\r\n{common}a=mid:0\r\na=rtpmap:96 {codec}/90000\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{common}a=mid:1\r\na=rtpmap:111 opus/48000/2\r\n"
    )
}

async fn kit() -> Kit {
    kit_for(20_000).await
}

/// One for so many sessions at most.
async fn kit_for(sessions: usize) -> Kit {
    Kit::with(
        |settings| {
            settings.http.cors = "*".into();
            settings.webrtc.ice_servers = vec!["stun:stun.example.com:3478".into()];
        },
        move |parts| {
            let mut config = media::rtc::Config::default();
            config.max_sessions = sessions;
            config.udp = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let hub = parts.hub.clone();
            let requests = parts.requests.clone();
            parts.webrtc = Some(media::rtc::Server::start(config, hub, requests, CancellationToken::new()).unwrap());
        },
    )
    .await
}

/// The path and query of a fresh user's push URL.
async fn whip_of(kit: &Kit, user: &str) -> String {
    let client = kit.login("live_room", user, Generation::First).await;
    let urls = client.call("get_push_url", json!({ "userID": user })).await;
    let url = urls["whipURL"].as_str().unwrap().to_owned();
    url[url.find("/whip/").unwrap()..].to_owned()
}

async fn ask(kit: &Kit, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = axum::http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = kit.send(request.body(Body::from(body.to_owned())).unwrap()).await;
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{path}: {}", answer.status);
    answer
}

const SDP: (&str, &str) = ("content-type", "application/sdp");

/// Players in pages of other origins, and cast devices, add headers of their own to what they ask for.
#[tokio::test]
async fn streams_and_recordings_answer_preflights() {
    let kit = Kit::new().await;
    let asked = [("access-control-request-method", "GET"), ("access-control-request-headers", "range,x-token")];
    // OvenLiveKit publishes with a header of its own.
    let publishes =
        [("access-control-request-method", "POST"), ("access-control-request-headers", "oven-capabilities")];
    let answer = ask(&kit, Method::OPTIONS, "/whip/x", &publishes, "").await;
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_HEADERS], "oven-capabilities");
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_METHODS], "GET, POST, PATCH, DELETE, OPTIONS");
    for path in ["/live/x.m3u8", "/live/x.flv", "/live/x/1.m4s", "/recordings/x.mp4"] {
        let answer = ask(&kit, Method::OPTIONS, path, &asked, "").await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{path}");
        assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_HEADERS], "range,x-token");
        assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_METHODS], "GET, HEAD, OPTIONS");
    }
}

#[tokio::test]
async fn an_endpoint_says_what_it_takes_and_answers_pages_from_elsewhere() {
    let kit = kit().await;
    let path = whip_of(&kit, "alice").await;
    let accept_post = HeaderName::from_static("accept-post");
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        let answer = ask(&kit, method, &path, &[], "").await;
        assert_eq!(
            (answer.status, &answer.headers[&accept_post]),
            (StatusCode::NO_CONTENT, &"application/sdp".parse().unwrap())
        );
    }
    assert_eq!(ask(&kit, Method::PUT, &path, &[], "").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let text = ask(&kit, Method::POST, &path, &[("content-type", "text/plain")], &offer("sendonly", "VP8")).await;
    assert_eq!(
        (text.status, &text.headers[&accept_post]),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, &"application/sdp".parse().unwrap())
    );
    let large = ask(&kit, Method::POST, &path, &[SDP], &"x".repeat(3 << 20)).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn servers_for_ice_are_told_before_an_offer_to_who_may_play() {
    let kit = kit().await;
    let path = whip_of(&kit, "alice").await;
    let links = |answer: &Answer| answer.headers.get_all(header::LINK).iter().count();
    assert_eq!(links(&ask(&kit, Method::OPTIONS, &path, &[], "").await), 1);
    let preflight = ask(&kit, Method::OPTIONS, &path, &[("access-control-request-method", "POST")], "").await;
    assert_eq!((preflight.status, links(&preflight)), (StatusCode::NO_CONTENT, 0), "anybody's");
    let bare = path.split_once('?').unwrap().0;
    let stranger = ask(&kit, Method::OPTIONS, bare, &[], "").await;
    assert_eq!((stranger.status, links(&stranger)), (StatusCode::NO_CONTENT, 0));
}

#[tokio::test]
async fn a_bundle_that_names_a_line_too_many_is_understood() {
    // FFmpeg 8 with one track.
    let kit = kit().await;
    let path = whip_of(&kit, "alice").await;
    let both = offer("sendonly", "H264");
    let video = &both[..both.find("m=audio").unwrap()];
    let made = ask(&kit, Method::POST, &path, &[SDP], video).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert!(made.text().contains("a=group:BUNDLE 0\r\n"), "{}", made.text());
}

#[tokio::test]
async fn a_publisher_is_answered_whole_or_told_why_not() {
    let kit = kit().await;
    let path = whip_of(&kit, "alice").await;
    let wrong = ask(&kit, Method::POST, &path, &[SDP], &offer("recvonly", "VP8")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text());
    let none = ask(&kit, Method::POST, &path, &[SDP], &offer("sendonly", "H266")).await;
    assert_eq!(none.status, StatusCode::NOT_ACCEPTABLE);
    assert!(none.text().contains("H266") && none.text().contains("VP8"), "{}", none.text());
    // The URL's signature as a Bearer token, and no content type.
    let (bare, signature) = path.split_once('?').unwrap();
    let bearer = format!("Bearer {signature}");
    let made = ask(&kit, Method::POST, bare, &[("authorization", &bearer)], &offer("sendonly", "VP8")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let answer = made.text();
    assert_eq!(answer.matches("a=recvonly").count(), 2, "{answer}");
    assert_eq!(answer.matches("a=candidate:").count(), 2, "{answer}");
    assert!(answer.contains("a=rtpmap:96 VP8/90000"), "{answer}");
    assert_eq!(answer.matches("a=rtcp-mux\r\n").count(), 2, "{answer}");
    assert!(!answer.contains("a=rtcp-mux-only"), "that is an offer's word (RFC 8858): {answer}");
    assert_eq!(made.headers["accept-patch"], "application/trickle-ice-sdpfrag");
    assert_eq!(made.headers[header::CONTENT_TYPE], "application/sdp");
    assert_eq!(made.headers[header::LINK], "<stun:stun.example.com:3478>; rel=\"ice-server\"");

    let session = made.headers[header::LOCATION].to_str().unwrap().to_owned();
    for method in [Method::GET, Method::HEAD] {
        let there = ask(&kit, method, &session, &[], "").await;
        assert_eq!((there.status, &there.headers[header::ETAG]), (StatusCode::NO_CONTENT, &made.headers[header::ETAG]));
    }
    assert_eq!(ask(&kit, Method::HEAD, "/rtc/session/none", &[], "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask(&kit, Method::PUT, &session, &[], "").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let etag = made.headers[header::ETAG].to_str().unwrap().to_owned();
    let fragment = ("content-type", "application/trickle-ice-sdpfrag");
    let trickle = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=end-of-candidates\r\n";
    for (tags, status) in [
        (format!("\"other\", {etag}"), StatusCode::NO_CONTENT),
        (format!("W/{etag}"), StatusCode::NO_CONTENT),
        ("\"other\"".into(), StatusCode::PRECONDITION_FAILED),
    ] {
        let answer = ask(&kit, Method::PATCH, &session, &[fragment, ("if-match", &tags)], trickle).await;
        assert_eq!(answer.status, status, "{tags}");
    }
    let text = ask(&kit, Method::PATCH, &session, &[("content-type", "text/plain")], trickle).await;
    assert_eq!(text.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(text.headers["accept-patch"], "application/trickle-ice-sdpfrag");
    assert_eq!(ask(&kit, Method::DELETE, &session, &[], "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_viewer_who_has_no_codec_of_the_stream_hears_both_lists() {
    let kit = kit().await;
    let path = whip_of(&kit, "alice").await;
    let name = path["/whip/".len()..].split('?').next().unwrap();
    let origin = media::hub::Origin { protocol: media::Protocol::Rtmp, peer: SocketAddr::from(([127, 0, 0, 1], 1)) };
    let publisher = kit.app.hub.publish(&media::StreamName::new(name).unwrap(), origin).unwrap();
    // H.264 in 10 bits.
    let config: &[u8] = &[1, 110, 0, 40, 0xff, 0xe0, 0];
    publisher.push(media::Frame::config(media::Codec::H264, 0, config.to_vec().into())).unwrap();
    let picture = vec![0, 0, 0, 3, 0x65, 1, 2];
    publisher.push(media::Frame::video(media::Codec::H264, 0, 0, true, picture.into())).unwrap();
    let watch = path.replace("/whip/", "/whep/");
    for (codec, words) in [
        ("VP8", "the stream's video is h264, and the offer has VP8"),
        ("H264", "the stream's video is h264, profile High 10, and the offer has H264 without that profile"),
    ] {
        for _ in 0..2 {
            let refused = ask(&kit, Method::POST, &watch, &[SDP], &offer("recvonly", codec)).await;
            assert_eq!(refused.status, StatusCode::NOT_ACCEPTABLE);
            assert!(refused.text().contains(words), "{}", refused.text());
        }
    }
}

#[tokio::test]
async fn who_comes_when_there_is_no_place_is_told_to_come_again() {
    let kit = kit_for(0).await;
    let path = whip_of(&kit, "alice").await;
    for path in [path.clone(), path.replace("/whip/", "/whep/")] {
        let full = ask(&kit, Method::POST, &path, &[SDP], &offer("sendrecv", "VP8")).await;
        assert_eq!(
            (full.status, &full.headers[header::RETRY_AFTER]),
            (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
        );
    }
}

/// What `/readyz` says of WebRTC.
async fn reach(kit: &Kit) -> Value {
    let ready = kit.send(axum::http::Request::get("/readyz").body(Body::empty()).unwrap()).await;
    assert_eq!(ready.status, StatusCode::OK, "calls go on");
    let checks = ready.json()["checks"].as_array().unwrap().clone();
    checks.into_iter().find(|check| check["name"] == "webrtc").unwrap()
}

#[tokio::test]
async fn where_media_reaches_nobody_is_said() {
    let kit = kit().await;
    assert_eq!(reach(&kit).await, json!({ "name": "webrtc", "ok": true, "needed": false }));
    // Each offers, and sends nothing.
    for n in 1..=3 {
        let path = whip_of(&kit, &format!("user{n}")).await;
        let mut request = axum::http::Request::post(&path).body(Body::from(offer("sendonly", "VP8"))).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([203, 0, 113, n], 40_000))));
        assert_eq!(kit.send(request).await.status, StatusCode::CREATED);
    }
    let end = Instant::now() + Duration::from_secs(15);
    while reach(&kit).await["ok"] == true && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let address = kit.app.webrtc.as_ref().unwrap().udp_addr();
    let reason = format!("3 of 3 clients of the last 10 minutes could not reach {address}");
    assert_eq!(reach(&kit).await["reason"], json!(reason));
}

#[tokio::test]
async fn who_comes_before_the_publisher_is_told_when_to_come_again() {
    let kit = kit().await;
    let path = whip_of(&kit, "alice").await.replace("/whip/", "/whep/");
    let waits = async |path: &str, headers: &[(&str, &str)]| {
        let start = Instant::now();
        let answer = ask(&kit, Method::POST, path, &[&[SDP], headers].concat(), &offer("recvonly", "VP8")).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text());
        assert_eq!(answer.headers[header::RETRY_AFTER], "2");
        start.elapsed().as_secs()
    };
    assert_eq!(waits(&path, &[]).await, 0, "at once, unless it asks to wait");
    assert_eq!(waits(&path, &[("prefer", "wait=1")]).await, 1);
    assert_eq!(waits(&format!("{path}&wait=1"), &[]).await, 1);
    assert_eq!(waits(&format!("{path}&wait=1"), &[("prefer", "wait=0")]).await, 0, "the header counts");
}

#[tokio::test]
async fn urls_that_are_given_out_ask_to_wait() {
    let kit = kit().await;
    let client = kit.login("live_room", "alice", Generation::First).await;
    assert_eq!(client.enter("r").await["code"], 0);
    let room = client.own("get_pushers", json!({ "roomID": "r" })).await;
    let url = room["pushers"][0]["whepURL"].as_str().unwrap();
    let path = &url[url.find("/whep/").unwrap()..];
    // The SDK of a page, and any player that a page hands the URL to, shows who begins a moment later.
    let sdp = offer("recvonly", "VP8");
    let early = ask(&kit, Method::POST, path, &[SDP], &sdp);
    assert!(tokio::time::timeout(Duration::from_secs(2), early).await.is_err(), "it waits");
}

#[tokio::test]
async fn tencents_player_hears_whether_to_come_again() {
    let kit = kit().await;
    let client = kit.login("live_room", "alice", Generation::First).await;
    let url = client.call("get_push_url", json!({ "userID": "alice" })).await["webrtcURL"].as_str().unwrap().to_owned();
    let text = ("content-type", "text/plain;charset=utf-8");
    let tell = async |call: &str, body: String| {
        let answer = ask(&kit, Method::POST, &format!("/webrtc/v1/{call}"), &[text], &body).await;
        let json = answer.json();
        (answer.status.as_u16(), json["errcode"].as_u64().unwrap(), json["errmsg"].as_str().unwrap().to_owned())
    };
    let pull = async |url: &str, sdp: &str| {
        let offer = json!({ "type": "offer", "sdp": sdp });
        tell("pullstream", json!({ "streamurl": url, "sessionid": "x", "localsdp": offer }).to_string()).await
    };
    let sdp = offer("recvonly", "VP8");
    let nobody = "nobody publishes this stream at the moment".to_owned();
    assert_eq!(pull(&format!("{url}&wait=0"), &sdp).await, (409, 409, nobody));
    for (url, sdp, code) in [
        (url.split('?').next().unwrap(), sdp.as_str(), 403),
        (&url.replace("/live/", "/live/x"), &sdp, 403),
        ("webrtc://h/live/", &sdp, 400),
        (&url, "v=0", 400),
    ] {
        let (status, errcode, _) = pull(url, sdp).await;
        assert_eq!((status, errcode), (200, code), "{url}");
    }
    let (status, errcode, message) = tell("pullstream", "{}".into()).await;
    assert!((status, errcode) == (200, 400) && message.contains("missing field `streamurl`"), "{message}");
    assert_eq!(tell("stopstream", json!({ "svrsig": "0".repeat(32) }).to_string()).await.1, 0, "it is over");
    assert_eq!(tell("stopstream", json!({ "svrsig": "x" }).to_string()).await.1, 404);
    let asks = [("access-control-request-method", "POST"), ("access-control-request-headers", "content-type")];
    assert_eq!(ask(&kit, Method::OPTIONS, "/webrtc/v1/pullstream", &asks, "").await.status, StatusCode::NO_CONTENT);
}
