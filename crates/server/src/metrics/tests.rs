//! What is counted, and as what.

use super::*;

#[test]
fn paths_are_few_routes() {
    let route = |path: &str| ROUTES[Metrics::route(path).0];
    for (path, expected) in [
        ("/weapp/live_room/login", "weapp"),
        ("/live/s.flv", "live"),
        ("/whip/s", "webrtc"),
        ("/rtc/session/1", "webrtc"),
        ("/ws", "ws"),
        ("/v4/openim/login", "webim"),
        ("/console/events", "console"),
        ("/api/v1/rooms", "api"),
        ("/readyz", "ops"),
        ("/", "pages"),
        ("", "pages"),
        ("/anything/else", "pages"),
    ] {
        assert_eq!(route(path), expected, "{path}");
    }
}

#[test]
fn calls_are_counted_by_code_and_time() {
    let metrics = Metrics::new(&["a", "b"], crate::http::codes());
    metrics.call(1, 0, Duration::from_micros(60));
    metrics.call(1, 5001, Duration::from_millis(2));
    metrics.call(1, -508, Duration::from_secs(60));
    metrics.call(7, 0, Duration::ZERO);
    let row = |column: usize| metrics.calls.sum(metrics.codes.width() + column);
    let codes = BUCKETS + 1;
    let at = |code: i32| metrics.codes.known.iter().position(|known| *known == code).unwrap();
    assert_eq!((row(1), row(5), row(BUCKETS - 1)), (1, 1, 1));
    assert_eq!((row(codes + at(0)), row(codes + at(5001)), row(codes + metrics.codes.known.len())), (1, 1, 1));
    assert_eq!(row(BUCKETS), 60 + 2_000 + 60_000_000);
    assert_eq!(
        (0..metrics.codes.width()).map(|column| metrics.calls.sum(column)).sum::<u64>(),
        0,
        "the other call had none"
    );
}

#[test]
fn the_first_failure_inside_is_an_increase() {
    let metrics = Metrics::new(&["a", "b"], crate::http::codes());
    metrics.call(1, 0, Duration::ZERO);
    let said = || {
        let mut page = Page::default();
        metrics.report(&mut page);
        page.finish()
    };
    let before = said();
    for call in ["a", "b"] {
        assert!(before.contains(&format!("roomservice_calls_total{{call=\"{call}\",code=\"-1\"}} 0\n")), "{before}");
    }
    assert!(!before.contains("call=\"a\",code=\"0\""), "what never was has no line: {before}");
    metrics.call(0, -1, Duration::ZERO);
    assert!(said().contains("roomservice_calls_total{call=\"a\",code=\"-1\"} 1\n"));
}

#[test]
fn what_comes_and_goes_is_counted() {
    let gauge = Arc::new(Gauge::default());
    let one = gauge.enter();
    let two = gauge.enter();
    drop(one);
    assert_eq!(gauge.read(), (1, 2));
    drop(two);
    assert_eq!(gauge.read(), (0, 2));
}
