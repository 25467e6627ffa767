//! An OpenID issuer on loopback: it says where its keys are, and signs tokens.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use iib_ports::{Clock as _, SystemClock};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// An issuer. It is gone with the runtime it was started on.
#[derive(Debug)]
pub struct TestIssuer {
    /// Its address, as it stands in its tokens.
    pub address: String,
    told: Arc<Mutex<Told>>,
    signing: Mutex<SigningKey>,
}

/// What it tells.
#[derive(Debug)]
struct Told {
    address: String,
    keys: Vec<Value>,
    is_down: bool,
    reads: u32,
}

struct SigningKey {
    name: String,
    key: EncodingKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new one, and what may be told of it.
    fn new(name: &str) -> (Self, Value) {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        public.common.key_id = Some(name.to_owned());
        let public = serde_json::to_value(public).unwrap();
        let name = name.to_owned();
        (Self { name, key }, public)
    }
}

impl TestIssuer {
    /// Starts one, with one key.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = format!("http://{}/team", listener.local_addr().unwrap());
        let (signing, public) = SigningKey::new("first");
        let told = Arc::new(Mutex::new(Told {
            address: address.clone(),
            keys: vec![
                json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "x"}),
                public,
            ],
            is_down: false,
            reads: 0,
        }));
        let router = Router::new()
            .route("/team/.well-known/openid-configuration", get(discovery))
            .route("/team/keys", get(keys))
            .with_state(told.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            told,
            signing: Mutex::new(signing),
        }
    }

    /// Has it sign with a new key, and tell of that one only.
    pub fn change_key(&self, name: &str) {
        let (signing, public) = SigningKey::new(name);
        lock(&self.told).keys = vec![public];
        *lock(&self.signing) = signing;
    }

    /// Has it sign with a new key of the old name, of which it tells nobody.
    pub fn forge(&self) {
        let mut signing = lock(&self.signing);
        let (forged, _) = SigningKey::new(&signing.name);
        *signing = forged;
    }

    /// Has it tell of no keys at all.
    pub fn lose_keys(&self) {
        lock(&self.told).keys.clear();
    }

    /// Whether it answers with an error.
    pub fn set_down(&self, is_down: bool) {
        lock(&self.told).is_down = is_down;
    }

    /// What it says that it is called.
    pub fn set_name(&self, name: &str) {
        lock(&self.told).address = name.to_owned();
    }

    /// How often its keys were read.
    pub fn reads(&self) -> u32 {
        lock(&self.told).reads
    }

    /// A token for `audience` that is valid for an hour, with these claims beside or instead of its own.
    ///
    /// # Panics
    /// If it cannot be signed.
    pub fn token(&self, audience: &str, claims: &Value) -> String {
        let signing = lock(&self.signing);
        let now = SystemClock.now().as_second();
        let mut all = json!({
            "iss": self.address,
            "aud": audience,
            "exp": now + 3600,
        });
        let own: &mut Map<String, Value> = all.as_object_mut().unwrap();
        own.extend(claims.as_object().unwrap().clone());
        own.retain(|_, value| !value.is_null());
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(signing.name.clone());
        encode(&header, &all, &signing.key).unwrap()
    }
}

async fn discovery(State(told): State<Arc<Mutex<Told>>>) -> Result<Json<Value>, StatusCode> {
    let told = lock(&told);
    if told.is_down {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let keys = format!("{}/keys", told.address);
    Ok(Json(json!({"issuer": told.address, "jwks_uri": keys})))
}

async fn keys(State(told): State<Arc<Mutex<Told>>>) -> Json<Value> {
    let mut told = lock(&told);
    told.reads += 1;
    Json(json!({"keys": told.keys}))
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
