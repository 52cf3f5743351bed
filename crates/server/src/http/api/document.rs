//! The OpenAPI document: made of the calls themselves, with what is common to all of them, and the page to try them on.

use std::sync::OnceLock;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::examples;
use super::problem::{Problem, TOO_LARGE, TOO_MANY, TOO_SLOW};
use crate::http::pages;

#[derive(OpenApi)]
#[openapi(
    info(title = "RoomService", description = "What operators and the app's backend do to a running server."),
    servers((url = "/api/v1")),
    security(("operator" = [])),
    components(schemas(Problem)),
    tags(
        (name = "rooms", description = "Rooms and who is in them"),
        (name = "bans", description = "Who is kept out: of a room, or of everything"),
        (name = "chat", description = "What is said in rooms"),
        (name = "streams", description = "Streams and mixes of this node"),
        (name = "recordings", description = "Recordings on this node"),
        (name = "tokens", description = "Logging users in"),
        (name = "server", description = "The server as a whole"),
    )
)]
struct Head;

/// What stands in the document before any call.
pub fn head() -> utoipa::openapi::OpenApi {
    let mut head = Head::openapi();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A key of operator.keys or operator.read_keys, or a token signed with one."))
        .build();
    head.info.version = env!("CARGO_PKG_VERSION").into();
    head.components.get_or_insert_default().add_security_scheme("operator", SecurityScheme::Http(bearer));
    head
}

/// The page and the document. Everybody may read them: they hold nothing of this server.
pub fn routes() -> Router {
    let document = || async { ([(header::CONTENT_TYPE, "application/json")], text()).into_response() };
    let page = |headers: HeaderMap| async move { pages::page("api.html", &headers) };
    Router::new().route("/openapi.json", get(document)).route("/", get(page))
}

fn text() -> Bytes {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    TEXT.get_or_init(|| Bytes::from(whole().to_string())).clone()
}

/// What may be wrong with any call: the status, what it means, and the code and words of an example.
const PROBLEMS: [(StatusCode, &str, &str, &str); 11] = [
    (StatusCode::BAD_REQUEST, "The request is malformed", "bad_request", "seconds: 1 to 86400"),
    (
        StatusCode::UNAUTHORIZED,
        "Nobody's key, or a token whose time is over",
        "unauthorised",
        "operators only: Authorization: Bearer KEY",
    ),
    (
        StatusCode::FORBIDDEN,
        "The key or token does not allow this",
        "forbidden",
        "this key or token does not allow it; docs/api.md has the grants",
    ),
    (StatusCode::NOT_FOUND, "There is no such thing", "no_room", "there is no such room"),
    (StatusCode::REQUEST_TIMEOUT, "The body did not come in time", TOO_SLOW.0, TOO_SLOW.1),
    (
        StatusCode::CONFLICT,
        "It cannot be done as things are",
        "key_reused",
        "this Idempotency-Key was given to another request",
    ),
    (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large", TOO_LARGE.0, TOO_LARGE.1),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not JSON", "not_json", "Content-Type: application/json"),
    (
        StatusCode::TOO_MANY_REQUESTS,
        "This address asks for more than it may; Retry-After says when to come back",
        TOO_MANY.0,
        TOO_MANY.1,
    ),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "A neighbour is away, and nothing was done; try again",
        "unavailable",
        "a part of the server is away; the log says more",
    ),
    (
        StatusCode::GATEWAY_TIMEOUT,
        "A neighbour did not answer: it is not known whether this was done, or all of it. Look, or send it again; with the same \
     Idempotency-Key a room is changed once",
        "unknown",
        "it is not known whether this was done, or all of it: look, or send it again",
    ),
];

/// The answer to any call that is wrong in this way.
fn answer(status: StatusCode, text: &str, code: &'static str, detail: &str) -> Value {
    let content =
        json!({ "schema": { "$ref": "#/components/schemas/Problem" }, "example": Problem::new(status, code, detail) });
    let mut answer = json!({ "description": text, "content": { "application/problem+json": content } });
    let waits = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
    if waits.contains(&status) {
        answer["headers"] = json!({ "Retry-After": {
            "description": "Seconds until another attempt may go well", "schema": { "type": "integer", "minimum": 1 } } });
    }
    answer
}

/// What ids look like, by the name of the path's parameter.
fn shape(parameter: &str) -> Option<Value> {
    Some(match parameter {
        "room" | "user" => json!({ "type": "string", "pattern": "^[!#-&(-_a-~]{1,64}$" }),
        "stream" => json!({ "type": "string", "pattern": "^[A-Za-z0-9_~@:+=,-][A-Za-z0-9_.~@:+=,-]{0,254}$" }),
        "file" => json!({ "type": "string", "pattern": "^[A-Za-z0-9_.~@:+=,-]{1,300}$" }),
        "record" => json!({ "type": "string", "pattern": "^[!-~]{1,600}$" }),
        "session" => json!({ "type": "string", "minLength": 1, "maxLength": 80 }),
        _ => return None,
    })
}

/// The document with what is common to all calls.
pub(super) fn whole() -> Value {
    let (_, document) = super::described();
    let mut document = serde_json::to_value(document).unwrap_or_default();
    // What is common to all stands in the document once.
    for (status, text, code, detail) in PROBLEMS {
        let name = format!("Problem{}", status.as_u16());
        document["components"]["responses"][name] = answer(status, text, code, detail);
    }
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (method, call) in paths.flat_map(|(_, item)| item.as_object_mut().into_iter().flatten()) {
        let Some(call) = call.as_object_mut() else { continue };
        if let Some(responses) = call.get_mut("responses").and_then(Value::as_object_mut) {
            for (status, ..) in PROBLEMS {
                let status = status.as_str();
                let common = || json!({ "$ref": format!("#/components/responses/Problem{status}") });
                responses.entry(status).or_insert_with(common);
            }
        }
        let parameters = call.entry("parameters").or_insert_with(|| json!([]));
        let Some(parameters) = parameters.as_array_mut() else { continue };
        for parameter in parameters.iter_mut().filter(|p| p["in"] == "path") {
            if let Some(schema) = parameter["name"].as_str().and_then(shape) {
                parameter["schema"] = schema;
            }
        }
        if method != "get" {
            parameters.push(json!({
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "A name of the caller's for this request: sent again within a day it is answered as the first time, and done once. The same name for another body of this call: 409.",
                "schema": { "type": "string", "pattern": "^[A-Za-z0-9_-]{1,255}$" },
            }));
        }
    }
    let bytes = json!({ "video/mp4": { "schema": { "type": "string", "format": "binary" } } });
    for status in ["200", "206"] {
        document["paths"]["/recordings/{file}"]["get"]["responses"][status]["content"] = bytes.clone();
    }
    let number = |least: u64| json!({ "type": "integer", "minimum": least, "maximum": 9007199254740991i64 });
    document["components"]["schemas"]["Begin"] = json!({
        "description": "The first event that is told again: one of its id, the seq of a room's change (with roomID), and a time in Unix milliseconds.",
        "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
        "properties": { "id": { "type": "string", "maxLength": 200 }, "seq": number(1), "time": number(0) },
    });
    // Names and values are bounded; any JSON is a value.
    let custom = &mut document["components"]["schemas"]["Change"]["properties"]["custom"];
    custom["maxProperties"] = 16.into();
    custom["propertyNames"] = json!({ "minLength": 1, "maxLength": 16 });
    custom["additionalProperties"] = json!({ "type": ["integer", "string", "boolean"], "maxLength": 200,
        "minimum": -9007199254740991i64, "maximum": 9007199254740991i64 });
    examples::add(&mut document);
    document
}
