//! Calls that are signed for the gateway of AWS (Signature Version 4), which lets those in who have credentials of AWS
//! and may invoke the API.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use iib_ports::{Clock as _, SystemClock};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Request, Response, StatusCode, Url};
use serde_json::Value;

/// What the gateway says to a call that is not signed, or by somebody who may not call.
pub(crate) const FORBIDDEN: &str = "Forbidden";
/// The header by which the gateway is known.
const GATEWAY: &str = "apigw-requestid";
/// The service that signatures for APIs are for.
const SERVICE: &str = "execute-api";

/// Whether this answer is that of a gateway which wants a signature, and the answer again. What the service behind it
/// refuses itself has another form.
pub(crate) async fn is_asked_for(answer: Response) -> reqwest::Result<(Response, bool)> {
    let is_of_gateway = answer.headers().contains_key(GATEWAY);
    if answer.status() != StatusCode::FORBIDDEN || !is_of_gateway {
        return Ok((answer, false));
    }
    let headers = answer.headers().clone();
    let body = answer.bytes().await?;
    let said: Option<Value> = serde_json::from_slice(&body).ok();
    let is_asked = said.is_some_and(|said| said["message"] == FORBIDDEN);
    let mut again = http::Response::new(body);
    *again.status_mut() = StatusCode::FORBIDDEN;
    *again.headers_mut() = headers;
    Ok((again.into(), is_asked))
}

/// What calls are signed with.
#[derive(Debug)]
pub(crate) struct Signer {
    credentials: SharedCredentialsProvider,
    region: Region,
}

impl Signer {
    /// With the credentials of AWS that are found as its own command finds them: in the environment, in a profile, on
    /// the machine. The region is that of the address, if it says one.
    ///
    /// # Errors
    /// There is no region, or nothing that could have credentials.
    pub(crate) async fn of_environment(address: &Url) -> anyhow::Result<Self> {
        let region = address.host_str().and_then(region_of);
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        let config = loader.load().await;
        Ok(Self {
            region: config
                .region()
                .cloned()
                .context("its region is not known: set AWS_REGION")?,
            credentials: config
                .credentials_provider()
                .context("there are no credentials of AWS: set AWS_PROFILE")?,
        })
    }

    /// Puts the signature into a call.
    ///
    /// # Errors
    /// The credentials cannot be had, or the call cannot be signed.
    pub(crate) async fn sign(&self, call: &mut Request) -> anyhow::Result<()> {
        let credentials = self.credentials.provide_credentials().await;
        let identity = credentials
            .context(
                "there are no credentials of AWS: set AWS_PROFILE, or what `aws configure export-credentials --format env` says",
            )?
            .into();
        let since_epoch = SystemClock.now().as_duration();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(self.region.as_ref())
            .name(SERVICE)
            .time(SystemTime::UNIX_EPOCH + Duration::try_from(since_epoch)?)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = call.headers().iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let body = call
            .body()
            .and_then(reqwest::Body::as_bytes)
            .unwrap_or_default();
        let signable = SignableRequest::new(
            call.method().as_str(),
            call.url().as_str(),
            headers,
            SignableBody::Bytes(body),
        )?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        let signed: Vec<(String, String)> = instructions
            .headers()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for (name, value) in signed {
            let mut value = HeaderValue::from_str(&value)?;
            value.set_sensitive(true);
            call.headers_mut()
                .insert(HeaderName::from_bytes(name.as_bytes())?, value);
        }
        Ok(())
    }
}

/// The region in the host of an API: `<api>.execute-api.<region>.amazonaws.com`.
fn region_of(host: &str) -> Option<&str> {
    let mut parts = host.split('.').skip(1);
    (parts.next()? == SERVICE).then(|| parts.next()).flatten()
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;

    use super::*;

    #[test]
    fn the_region_stands_in_the_address() {
        for (host, region) in [
            (
                "a1b2.execute-api.eu-central-1.amazonaws.com",
                Some("eu-central-1"),
            ),
            (
                "a1b2.execute-api.cn-north-1.amazonaws.com.cn",
                Some("cn-north-1"),
            ),
            ("iib.example.com", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
    }

    #[tokio::test]
    async fn what_is_signed_is_method_path_query_and_body() {
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            Some("session".to_owned()),
            None,
            "test",
        );
        let signer = Signer {
            credentials: SharedCredentialsProvider::new(credentials),
            region: Region::new("eu-central-1"),
        };
        let signed = async |url: &str, body: &'static str| {
            let call = reqwest::Client::new().post(url).body(body);
            let mut call = call.build().unwrap();
            signer.sign(&mut call).await.unwrap();
            let value = |name: &str| call.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(value("x-amz-security-token"), "session");
            (value("authorization"), value("x-amz-date"))
        };
        let url = "https://a1b2.execute-api.eu-central-1.amazonaws.com/api/v1/builds/add";
        let (one, date) = signed(url, "{}").await;
        let scope = format!("{}/eu-central-1/execute-api/aws4_request", &date[..8]);
        let start = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders=host;x-amz-date"
        );
        assert!(one.starts_with(&start), "{one}");
        assert!(!one.contains("secret"));
        for (url, body) in [(url, "{ }"), (&*format!("{url}?dry_run=true"), "{}")] {
            assert_ne!(signed(url, body).await.0, one, "{url} {body}");
        }
    }
}
