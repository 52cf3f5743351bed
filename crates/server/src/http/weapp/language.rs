//! The language of `message`: Chinese, as the first servers had it, or English for who asks for that.

use axum::http::{HeaderMap, header};

/// What messages are made of, longer pieces before those that they hold.
const PHRASES: [(&str, &str); 31] = [
    (
        "结果未知: 请求可能已经执行，请查询后再决定，或用同一个 Idempotency-Key 重试",
        "It is not known whether this was done: look, or send it again with the same Idempotency-Key",
    ),
    ("value: 不是数字的字段不能 inc 或 dec", "value: a field that is no number cannot be counted"),
    ("只能包含可打印的 ASCII 字符, 不含空格和引号", "may hold printable ASCII only, without spaces and quotes"),
    ("自定义字段超出数量限制: 最多", "Too many custom fields: at most"),
    ("operation 只能是 set, inc 或 dec", "operation must be set, inc or dec"),
    ("不是房间主人，无法销毁房间", "Not the creator of the room"),
    ("退出房间失败，不是房间成员", "Not a member of the room"),
    ("服务暂不可用，请稍后重试", "The service is not available, try again later"),
    ("服务正在重启，请稍后重试", "The service restarts, try again later"),
    ("请求过于频繁，请稍后重试", "Too many requests, try again later"),
    ("超出长度限制: 最多", "is too long: at most"),
    ("请求的房间不存在", "There is no such room"),
    ("超出房间人数上限", "The room is full"),
    ("服务器内部错误", "Internal error"),
    ("没有这样的文件", "There is no such file"),
    ("聊天室创建失败", "The chat group could not be made"),
    ("缺少登录参数", "Missing login parameter"),
    ("不是房间成员", "Not a member of the room"),
    ("已被禁止进入", "Kept out"),
    ("房间已经存在", "The room exists already"),
    ("观众列表已满", "The list of viewers is full"),
    ("不能为负数", "must not be negative"),
    ("必须大于 0", "must be greater than 0"),
    ("参数错误", "Bad parameter"),
    ("缺少参数", "Missing parameter"),
    ("请求成功", "OK"),
    ("鉴权失败", "Not authorised"),
    ("不是 JSON", "is not JSON"),
    ("秒后解除", "seconds more"),
    ("字节", "bytes"),
    (" 个", ""),
];

/// A message in English.
pub fn english(message: &str) -> String {
    let mut text = message.to_owned();
    for (chinese, english) in PHRASES {
        if text.contains(chinese) {
            text = text.replace(chinese, english);
        }
    }
    text
}

/// Whether a client would rather have English than Chinese. Who says neither gets Chinese.
pub fn wants_english(headers: &HeaderMap) -> bool {
    let mut english = 0.0;
    let mut chinese = 0.0;
    let lists = headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|list| list.to_str().ok());
    for range in lists.flat_map(|list| list.split(',')).take(32) {
        let (name, weight) = range.split_once(';').unwrap_or((range, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f32>().ok());
        let primary = name.trim().split('-').next().unwrap_or_default();
        let best = match primary {
            name if name.eq_ignore_ascii_case("en") => &mut english,
            name if name.eq_ignore_ascii_case("zh") => &mut chinese,
            _ => continue,
        };
        *best = weight.unwrap_or_default().max(*best);
    }
    english > chinese
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn who_asks_for_english_gets_it() {
        let wants =
            |list: &str| wants_english(&HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, list.parse().unwrap())]));
        assert!(!wants_english(&HeaderMap::new()));
        for list in ["en", "en-US,en;q=0.9", "EN-gb", "fr, en;q=0.5", "en-US,en;q=0.9,zh-CN;q=0.8", "zh;q=0.1,en;q=0.2"]
        {
            assert!(wants(list), "{list}");
        }
        for list in ["", "*", "fr", "zh-CN,zh;q=0.9,en;q=0.8", "en;q=0", "en;q=x", "zh,en", "english", ";;,,=q"] {
            assert!(!wants(list), "{list}");
        }
    }

    fn is_chinese(c: char) -> bool {
        ('\u{4e00}'..='\u{9fff}').contains(&c)
    }

    /// Every Chinese text in the sources of calls, but for values that are no message.
    fn texts(dir: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "tests" {
                texts(&path, found);
            } else if name.ends_with(".rs") && !["tests.rs", "language.rs"].contains(&name) {
                let source = std::fs::read_to_string(&path).unwrap();
                let code = source.split("#[cfg(test)]").next().unwrap();
                let literals = code.lines().filter(|l| !l.trim_start().starts_with("//")).flat_map(|l| l.split('"'));
                found.extend(literals.filter(|text| text.contains(is_chinese)).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_message_has_its_english() {
        let mut found = Vec::new();
        texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"), &mut found);
        found.retain(|text| !["检查正确", "检查失败"].contains(&text.as_str()));
        assert!(found.len() > 25, "{found:?}");
        for text in found {
            assert!(!english(&text).contains(is_chinese), "{text} → {}", english(&text));
        }
        assert_eq!(english("roomInfo 超出长度限制: 最多 1024 字节"), "roomInfo is too long: at most 1024 bytes");
        assert_eq!(english("已被禁止进入: 60 秒后解除"), "Kept out: 60 seconds more");
    }
}
