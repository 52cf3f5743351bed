//! Old mixes in new words.

use room::StreamId;

use super::*;

fn ids(names: &[&str]) -> Vec<StreamId> {
    names.iter().map(|name| StreamId::parse(name).unwrap()).collect()
}

fn streams(names: &[&str]) -> Mixable {
    Mixable { room: ids(names), partners: Vec::new() }
}

fn asked(inputs: Value) -> Value {
    json!({ "timestamp": 1, "eventId": 1, "interface": { "interfaceName": "Mix_StreamV2", "para": {
        "app_id": "1400000000",
        "interface": "mix_streamv2.start_mix_stream_advanced",
        "mix_stream_session_id": "8525_a",
        "output_stream_id": "8525_a",
        "input_stream_list": inputs,
    } } })
}

fn two() -> Value {
    json!([
        { "input_stream_id": "8525_a", "layout_params": { "image_layer": 1 } },
        { "input_stream_id": "8525_b", "layout_params": { "image_layer": "2", "image_width": 160, "image_height": 240,
            "location_x": 200, "location_y": 310 } },
    ])
}

#[test]
fn what_clients_send_is_understood() {
    let start = translate(&asked(two()), &streams(&["8525_a", "8525_b"])).unwrap();
    let body = json!({
        "MixStreamSessionId": "8525_a",
        "MixStreamTemplateId": 0,
        "InputStreamList": [
            { "InputStreamName": "8525_a", "LayoutParams": { "ImageLayer": 1 } },
            { "InputStreamName": "8525_b", "LayoutParams": { "ImageLayer": 2, "ImageWidth": 160, "ImageHeight": 240,
                "LocationX": 200, "LocationY": 310 } },
        ],
        "OutputParams": { "OutputStreamName": "8525_a", "OutputStreamType": 0 },
    });
    assert_eq!(start, Order::Start(body));
    let one = json!([{ "input_stream_id": "8525_a", "layout_params": { "image_layer": 1 } }]);
    let cancel = Order::Cancel { body: json!({ "MixStreamSessionId": "8525_a" }), implied: true };
    assert_eq!(translate(&asked(one), &streams(&["8525_a"])), Ok(cancel));
    let mut stop = asked(two());
    stop["interface"]["para"]["interface"] = "mix_streamv2.cancel_mix_stream".into();
    assert!(matches!(translate(&stop, &streams(&["8525_a"])), Ok(Order::Cancel { implied: false, .. })));
}

#[test]
fn nobody_mixes_or_ends_what_is_not_theirs() {
    let code = |params: &Value, names: &[&str]| translate(params, &streams(names)).unwrap_err().code;
    assert_eq!(code(&asked(two()), &["8525_a"]), -2, "a stream of another room");
    assert_eq!(code(&asked(two()), &["8525_b"]), -111, "another room's picture");
    let partner = Mixable { room: ids(&["8525_a"]), partners: ids(&["8525_b"]) };
    assert!(matches!(translate(&asked(two()), &partner), Ok(Order::Start(_))), "a partner's stream is an input");
    let theirs = Mixable { room: ids(&["8525_b"]), partners: ids(&["8525_a"]) };
    assert_eq!(translate(&asked(two()), &theirs).unwrap_err().code, -111, "never what is replaced");
    let mut evil = asked(two());
    evil["interface"]["para"]["mix_stream_session_id"] = "8525_somebody".into();
    let Ok(Order::Start(body)) = translate(&evil, &streams(&["8525_a", "8525_b"])) else { panic!() };
    assert_eq!(body["MixStreamSessionId"], "8525_a", "sessions are named after streams of the room");
}

#[test]
fn limits_have_their_old_numbers() {
    let names = ["8525_a", "8525_b"];
    let code = |change: &dyn Fn(&mut Value)| {
        let mut params = asked(two());
        change(&mut params["interface"]["para"]);
        translate(&params, &streams(&names)).map_or_else(|refused| refused.code, |_| 0)
    };
    assert_eq!(code(&|_| {}), 0);
    assert_eq!(code(&|p| p["interface"] = Value::Null), -1);
    assert_eq!(code(&|p| p["interface"] = "else".into()), -2);
    assert_eq!(code(&|p| p["input_stream_list"] = json!([])), -3);
    assert_eq!(code(&|p| p["input_stream_list"] = vec![two()[0].clone(); 17].into()), -3);
    assert_eq!(code(&|p| p["input_stream_list"][1]["layout_params"]["image_layer"] = 17.into()), -11);
    assert_eq!(code(&|p| p["input_stream_list"][1]["layout_params"]["image_width"] = (-1).into()), -4);
    assert_eq!(code(&|p| p["input_stream_list"][1]["layout_params"]["input_type"] = 9.into()), -2);
    assert_eq!(code(&|p| p["output_stream_bitrate"] = 0.into()), -31004);
    assert_eq!(code(&|p| p["output_stream_id"] = "x".repeat(81).into()), -2);
}

#[test]
fn pictures_larger_than_the_new_limits_shrink_as_a_whole() {
    let inputs = json!([
        { "input_stream_id": "canvas1", "layout_params": { "image_layer": 1, "input_type": 3, "image_width": 3000,
            "image_height": 1500, "color": "0x000000" } },
        { "input_stream_id": "8525_a", "layout_params": { "image_layer": 2, "image_width": 0.5, "location_x": 1500 },
            "crop_params": { "crop_width": 640, "crop_x": 10 } },
    ]);
    let mut params = asked(inputs);
    params["interface"]["para"]["output_stream_bitrate"] = "50000".into();
    let Ok(Order::Start(body)) = translate(&params, &streams(&["8525_a"])) else { panic!() };
    let layout = |at: usize, name: &str| body["InputStreamList"][at]["LayoutParams"][name].clone();
    assert_eq!((layout(0, "ImageWidth"), layout(0, "ImageHeight")), (json!(2000), json!(1000)));
    assert_eq!((layout(1, "ImageWidth"), layout(1, "LocationX")), (json!(0.5), json!(1000)));
    assert_eq!(body["InputStreamList"][1]["CropParams"], json!({ "CropWidth": 640, "CropStartLocationX": 10 }));
    assert_eq!(body["OutputParams"]["OutputStreamBitRate"], 10_000);
}

#[test]
fn complaints_get_their_old_numbers() {
    let said = |code: &str, message: &str| {
        let said = Err(Trouble::Said { code: code.into(), message: message.into() });
        outcome(&said, false).code
    };
    assert_eq!(outcome(&Ok(json!({})), false).code, 0);
    assert_eq!(said("InvalidParameter.OtherError", "mix failed, code:-505, input not ready"), -505);
    assert_eq!(said("InvalidParameter.OtherError", "err -28"), -28);
    assert_eq!(said("InvalidParameter.OtherError", "2018-11-29 not a number"), -2);
    assert_eq!(said("FailedOperation.HasNotLivingStream", ""), -505);
    assert_eq!(said("FailedOperation.CancelSessionNotExist", ""), -30300);
    assert_eq!(said("RequestLimitExceeded", ""), -10031);
    let gone = Err(Trouble::Said { code: "FailedOperation.CancelSessionNotExist".into(), message: String::new() });
    assert_eq!(outcome(&gone, true).code, 0, "ending a mix of one that never was");
    assert_eq!(outcome(&Err(Trouble::HeldBack), false).code, -10031);
}
