//! Layouts as clients send them, and everything that is refused.

use room::StreamId;
use serde_json::json;

use super::*;

/// Of another room, whose pusher agreed.
const PARTNER: &str = "8525_other_d";
const ROOM: [&str; 4] = ["8525_r_a", "8525_r_b", "8525_r_c", "8525_r_new"];

/// All but the last are pushed, in 360 by 640.
fn pushed(stream: &str) -> Option<Pushed> {
    (ROOM[..3].contains(&stream) || stream == PARTNER).then_some(Pushed { width: 360, height: 640 })
}

fn mixable() -> Mixable {
    let room = ROOM.map(|stream| StreamId::parse(stream).unwrap()).into();
    Mixable { room, partners: vec![StreamId::parse(PARTNER).unwrap()] }
}

fn ask(para: Value) -> Result<Asked, i32> {
    let mut para = para;
    for (name, value) in [("output_stream_id", "8525_r_a"), ("mix_stream_session_id", "8525_r_a")] {
        para.as_object_mut().unwrap().entry(name).or_insert(value.into());
    }
    let params = json!({"timestamp": 1, "eventId": 1, "interface": {"interfaceName": "Mix_StreamV2", "para": para}});
    read(&params, &mixable(), pushed).map_err(|refused| refused.code)
}

fn layout(para: Value) -> Layout {
    match ask(para).unwrap() {
        Asked::Mix { layout, .. } => layout,
        stop => panic!("{stop:?}"),
    }
}

fn inputs(list: Value) -> Result<Asked, i32> {
    ask(json!({ "input_stream_list": list }))
}

fn of(id: &str, layout: Value) -> Value {
    json!({"input_stream_id": id, "layout_params": layout})
}

/// x, y, width, height of each input that is seen.
fn places(layout: &Layout) -> Vec<(i32, i32, u32, u32)> {
    layout.inputs.iter().filter_map(|i| i.place).map(|p| (p.x, p.y, p.width, p.height)).collect()
}

fn guest(id: &str, layer: u32, x: u32, y: u32) -> Value {
    of(id, json!({"image_layer": layer, "image_width": 160, "image_height": 240, "location_x": x, "location_y": y}))
}

#[test]
fn a_creator_with_guests_as_the_mini_program_sends_it() {
    let list = json!([
        of("8525_r_a", json!({"image_layer": 1})),
        guest("8525_r_b", 2, 200, 310),
        guest("8525_r_c", 3, 200, 70)
    ]);
    let para = json!({"app_id": "1400000000", "interface": "mix_streamv2.start_mix_stream_advanced", "input_stream_list": list});
    let Asked::Mix { session, output, layout } = ask(para).unwrap() else { panic!("a mix") };
    assert_eq!((session.as_str(), output), ("8525_r_a", Output::Over(StreamName::new("8525_r_a").unwrap())));
    assert_eq!((layout.size, layout.color, layout.bitrate), ((360, 640), 0, None));
    assert_eq!(places(&layout), [(0, 0, 360, 640), (200, 310, 160, 240), (200, 70, 160, 240)]);
    assert!(layout.inputs.iter().all(|i| i.heard));
}

#[test]
fn pixels_for_a_nominal_canvas_are_scaled_to_the_real_one() {
    let params = |size: Pushed| {
        let list = json!([of("8525_r_a", json!({"image_layer": 1})), guest("8525_r_b", 2, 200, 310)]);
        let para = json!({"output_stream_id": "8525_r_a", "mix_stream_session_id": "s", "input_stream_list": list});
        let params = json!({"interface": {"para": para}});
        match read(&params, &mixable(), |_| Some(size)).unwrap() {
            Asked::Mix { layout, .. } => (layout.size, places(&layout)[1]),
            stop => panic!("{stop:?}"),
        }
    };
    assert_eq!(params(Pushed { width: 720, height: 1280 }), ((720, 1280), (400, 620, 320, 480)));
    assert_eq!(params(Pushed { width: 368, height: 640 }), ((368, 640), (204, 310, 164, 240)));
}

#[test]
fn fractions_canvas_sound_and_crop() {
    let list = json!([
        of("canvas1", json!({"image_layer": 1, "input_type": 3, "image_width": 1000, "image_height": 500, "color": "0x112233"})),
        {"input_stream_id": "8525_r_a", "layout_params": {"image_layer": 2, "image_width": 0.5, "image_height": "0.5", "location_x": 0.25, "location_y": 0},
         "crop_params": {"crop_width": 180, "crop_height": 0.5, "crop_x": 10, "crop_y": 0.25}},
        of("8525_r_b", json!({"image_layer": 3, "input_type": 4})),
        of("8525_r_c", json!({"image_layer": "4", "input_type": 5, "image_width": 100, "image_height": 101})),
    ]);
    let layout = layout(json!({"input_stream_list": list, "output_stream_bitrate": "600"}));
    assert_eq!((layout.size, layout.color, layout.bitrate), ((1000, 500), 0x11_2233, Some(600_000)));
    assert_eq!(places(&layout), [(250, 0, 500, 250), (0, 0, 100, 100)]);
    assert_eq!(
        layout.inputs[0].place.unwrap().crop,
        Some(Crop { x: 10, y: 160, width: 180, height: 320, of: (360, 640) })
    );
    assert_eq!(
        layout.inputs.iter().map(|i| (i.place.is_some(), i.heard)).collect::<Vec<_>>(),
        [(true, true), (false, true), (true, false)]
    );
}

#[test]
fn one_input_and_a_cancellation_end_the_mix() {
    let stop = Asked::Stop { session: "8525_r_a".into(), output: StreamName::new("8525_r_a").unwrap() };
    assert_eq!(inputs(json!([of("8525_r_a", json!({"image_layer": 1}))])).as_ref(), Ok(&stop));
    assert_eq!(ask(json!({"interface": "mix_streamv2.cancel_mix_stream"})).as_ref(), Ok(&stop));
}

#[test]
fn templates_fill_the_canvas_and_keep_within_it() {
    let canvas =
        || of("canvas1", json!({"input_type": 3, "image_width": 720, "image_height": 640, "color": "0x808080"}));
    let streams = |n: usize| ROOM[..3].iter().cycle().take(n).map(|id| of(id, json!({}))).collect::<Vec<_>>();
    let counts = [
        (10, 2),
        (20, 2),
        (30, 2),
        (40, 2),
        (50, 2),
        (310, 3),
        (390, 2),
        (391, 2),
        (410, 4),
        (510, 5),
        (590, 4),
        (610, 6),
    ];
    for (number, count) in counts {
        let mut list = streams(count);
        let on_canvas = matches!(number, 390 | 391 | 590);
        if on_canvas {
            list.insert(0, canvas());
        }
        let made = layout(json!({"mix_stream_template_id": number, "input_stream_list": list}));
        assert_eq!(made.size, if on_canvas { (720, 640) } else { (360, 640) });
        assert_eq!(made.color, if on_canvas { 0x80_8080 } else { 0 });
        let width = made.size.0 as i32 + 1;
        let height = made.size.1 as i32 + 1;
        assert_eq!(places(&made).len(), count, "{number}");
        for (x, y, w, h) in places(&made) {
            assert!(x >= 0 && y >= 0 && x + w as i32 <= width && y + h as i32 <= height, "{number}");
        }
        list.pop();
        let short = ask(json!({"mix_stream_template_id": number, "input_stream_list": list}));
        assert!(matches!(short, Err(-20 | -21) | Ok(Asked::Stop { .. })), "{number} {short:?}");
    }
    let contest = layout(
        json!({"mix_stream_template_id": "390", "input_stream_list": [canvas(), of(ROOM[0], json!({})), of(ROOM[1], json!({}))]}),
    );
    assert_eq!(places(&contest), [(0, 0, 360, 640), (360, 0, 360, 640)]);
    assert_eq!(ask(json!({"mix_stream_template_id": 11, "input_stream_list": streams(2)})), Err(-20));
}

#[test]
fn what_is_wrong_is_refused_by_its_number() {
    let two = |a: Value, b: Value| inputs(json!([of("8525_r_a", a), of("8525_r_b", b)]));
    let first = json!({"image_layer": 1});
    let second = json!({"image_layer": 2});
    assert_eq!(read(&json!({}), &mixable(), pushed).map_err(|r| r.code), Err(-1));
    assert_eq!(inputs(json!([1, 2])), Err(-1));
    assert_eq!(ask(json!({})), Err(-2));
    assert_eq!(ask(json!({"mix_stream_session_id": "a b"})), Err(-2));
    assert_eq!(inputs(json!([])), Err(-3));
    assert_eq!(inputs(vec![of("8525_r_a", first.clone()); 17].into()), Err(-3));
    assert_eq!(
        inputs(json!([of("8525_r_a", first.clone()), of("8525_other_x", second.clone())])),
        Err(-4),
        "another room's"
    );
    assert_eq!(two(first.clone(), json!({"image_layer": 2, "image_width": 3001})), Err(-4));
    assert_eq!(two(first.clone(), json!({"image_layer": 2, "image_width": -1})), Err(-4));
    assert_eq!(two(first.clone(), json!({"image_layer": 2, "image_width": "wide"})), Err(-2));
    assert_eq!(two(first.clone(), json!({"image_layer": 17})), Err(-11));
    assert_eq!(two(first.clone(), first.clone()), Err(-11));
    assert_eq!(two(json!({"image_layer": 3}), second.clone()), Err(-11), "no background");
    assert_eq!(two(first.clone(), json!({"image_layer": 2, "color": "red"})), Err(-20));
    let filled = two(first.clone(), json!({"image_layer": 2, "input_type": 2, "picture_id": 7}));
    let Ok(Asked::Mix { layout, .. }) = filled else { panic!("{filled:?}") };
    assert_eq!(places(&layout).len(), 1, "the picture's place is empty");
    assert_eq!(two(json!({"image_layer": 1, "input_type": 4}), second.clone()), Err(-28));
    assert_eq!(inputs(json!([of("8525_r_a", first.clone()), of("8525_r_new", second.clone())])), Err(-505));
    let list = json!([of("8525_r_a", first.clone()), of("8525_r_b", second.clone())]);
    let with = |name: &str, value: Value| {
        let mut para = json!({"input_stream_list": list});
        para[name] = value;
        ask(para)
    };
    assert_eq!(with("output_stream_id", "8525_r_c".into()), Err(-111));
    assert_eq!(with("output_stream_type", 1.into()), Err(-111));
    assert_eq!(with("output_stream_type", 7.into()), Err(-2));
    assert_eq!(with("output_stream_bitrate", 50_001.into()), Err(-31004));
    let own = |id: &str| ask(json!({"output_stream_type": 1, "output_stream_id": id, "input_stream_list": list}));
    assert_eq!(own("8525_r_c"), Err(-300));
    assert_eq!(own("8525_other_mix"), Err(-111));
    assert!(matches!(own("8525_r_a_mix"), Ok(Asked::Mix { output: Output::Own(_), .. })));
    let crop = json!([of("8525_r_a", first), {"input_stream_id": "8525_r_b", "layout_params": second, "crop_params": {"crop_width": 361, "crop_height": 10}}]);
    assert_eq!(inputs(crop), Err(-29));
    let size = |size| {
        let para = json!({"output_stream_id": "8525_r_a", "mix_stream_session_id": "s", "input_stream_list": list});
        read(&json!({"interface": {"para": para}}), &mixable(), |_| Some(size)).map_err(|r| r.code)
    };
    assert_eq!(size(Pushed::default()), Err(-507));
}

#[test]
fn a_partner_of_another_room_is_an_input_and_no_more() {
    let with = json!([of("8525_r_a", json!({"image_layer": 1})), guest(PARTNER, 2, 200, 310)]);
    let Asked::Mix { layout, .. } = inputs(with.clone()).unwrap() else { panic!("a mix") };
    assert_eq!(places(&layout), [(0, 0, 360, 640), (200, 310, 160, 240)]);
    let over = json!({"output_stream_id": PARTNER, "input_stream_list": with.clone()});
    assert_eq!(ask(over), Err(-111), "a mix is never seen in place of another room's stream");
    let own = format!("{PARTNER}_mixed");
    let named = json!({"output_stream_id": own, "output_stream_type": 1, "input_stream_list": with});
    assert_eq!(ask(named), Err(-111), "nor under its name");
}
