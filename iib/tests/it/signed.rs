//! Calls through a gateway that wants signatures of AWS, in front of a real service.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use serde_json::Value;

use crate::command::demo_folder;
use crate::process::{Server, iib};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-central-1";

/// What the gateway has let through, and how often it has refused.
#[derive(Default)]
struct Seen {
    let_through: Vec<String>,
    refused: usize,
}

struct Gateway {
    service: String,
    seen: Mutex<Seen>,
}

/// Refuses as an HTTP API with the authorization `AWS_IAM` does, or hands on.
async fn hand_on(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let host = parts.headers[header::HOST].to_str().unwrap().to_owned();
    let path = parts.uri.path_and_query().unwrap().as_str().to_owned();
    let given = parts.headers.get(header::AUTHORIZATION);
    let given = given.map(|given| given.to_str().unwrap().to_owned());
    let url = format!("http://{host}{path}");
    let expected = signature(parts.method.as_str(), &url, &parts.headers, &body);
    let is_good = given.is_some() && given == expected;
    {
        let mut seen = gateway.seen.lock().unwrap();
        if !is_good {
            seen.refused += 1;
            return Response::builder()
                .status(StatusCode::FORBIDDEN)
                .header("apigw-requestid", "Abc=")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(r#"{"message":"Forbidden"}"#))
                .unwrap();
        }
        seen.let_through.push(format!("{} {path}", parts.method));
    }
    let call = reqwest::Client::new().request(parts.method, format!("{}{path}", gateway.service));
    let call = call
        .header(header::CONTENT_TYPE, "application/json")
        .body(body);
    let answer = call.send().await.unwrap();
    let mut handed_on = Response::builder()
        .status(answer.status())
        .header("apigw-requestid", "Abc=");
    for (name, value) in answer.headers() {
        handed_on = handed_on.header(name, value);
    }
    handed_on
        .body(Body::from(answer.bytes().await.unwrap()))
        .unwrap()
}

/// The signature that this call has to have, for what arrived.
fn signature(method: &str, url: &str, headers: &HeaderMap, body: &Bytes) -> Option<String> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().unwrap();
    let (_, names) = given.split_once("SignedHeaders=")?;
    let (names, _) = names.split_once(',')?;
    let date = headers.get("x-amz-date")?.to_str().unwrap();
    let at: Timestamp = date.parse().unwrap();
    let identity = Credentials::new(KEY, SECRET, None, None, "test").into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name("execute-api")
        .time(SystemTime::UNIX_EPOCH + Duration::try_from(at.as_duration()).unwrap())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    // The signature's own are added by it.
    let own = ["host", "x-amz-date", "authorization"];
    let signed = names.split(';').filter(|name| !own.contains(name));
    let signed = signed.map(|name| (name, headers[name].to_str().unwrap()));
    let signable = SignableRequest::new(method, url, signed, SignableBody::Bytes(body)).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut made = instructions.headers();
    made.find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .map(|(_, value)| value.to_owned())
}

#[test]
fn calls_are_signed_where_the_gateway_asks_for_it() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let gateway = Arc::new(Gateway {
        service: server.api.clone(),
        seen: Mutex::default(),
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let router = Router::new().fallback(hand_on).with_state(gateway.clone());
    runtime.spawn(async move { axum::serve(listener, router).await });
    let url = format!("http://{address}");

    let run = |words: &[&str], with: bool| {
        let mut command = iib(words);
        command
            .args(["--url", &url])
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("HOME", folder.path());
        if with {
            command.env("AWS_ACCESS_KEY_ID", KEY);
            command.env("AWS_SECRET_ACCESS_KEY", SECRET);
            command.env("AWS_REGION", REGION);
        }
        command.output().unwrap()
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    let list = run(&["list", "--output", "json", "--state", "complete"], true);
    assert!(list.status.success(), "{}", text(&list.stderr));
    let listed: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert!(!listed.as_array().unwrap().is_empty(), "{listed}");
    {
        let seen = gateway.seen.lock().unwrap();
        // Once it was asked for.
        assert_eq!(
            (seen.refused, seen.let_through.len()),
            (1, 1),
            "{:?}",
            seen.let_through
        );
        assert!(seen.let_through[0].contains("state=complete"));
    }
    // A body is signed, too, and what the service itself refuses is not signed anew.
    let call = [
        "rm",
        "--operator",
        "x",
        "--from-index",
        "not an image",
        "--binary-image",
        "b:v1",
    ];
    let refused = run(&call, true);
    assert!(!refused.status.success());
    let said = text(&refused.stderr);
    assert!(said.contains("(400 Bad Request)"), "{said}");

    let without = run(&["list"], false);
    assert!(!without.status.success());
    let said = text(&without.stderr);
    assert!(said.contains("the call is not signed: "), "{said}");
    assert!(said.contains("execute-api:Invoke"), "{said}");
}
