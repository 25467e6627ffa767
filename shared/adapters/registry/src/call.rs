//! A call: authorization, one fresh try after a 401, and retries.

use std::sync::Arc;

use iib_ports::{Keyring, Login, RegistryError};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::Fault;
use crate::auth::{Authorization, Authorizer, LoginSearch};
use crate::hosts::{self, same_origin};
use crate::refusal;
use crate::retry::{Failure, RetryPolicy, Tries, is_passing};
use crate::target::Target;
use crate::transport::{Outgoing, SendFailure, Transport};

/// What all calls share.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) transport: Arc<Transport>,
    pub(crate) authorizer: Authorizer,
    pub(crate) retry: RetryPolicy,
}

impl SendFailure {
    /// The same in terms of the call.
    pub(crate) fn during(self, target: &Target) -> Failure {
        match self {
            Self::Fault(fault) => Failure::of_sending(target, fault),
            Self::Protocol(problem) => target.protocol(problem).into(),
            Self::Refused(refusal) => target.host_refused(refusal).into(),
        }
    }
}

impl Caller {
    /// The same for another identity.
    pub(crate) fn with(&self, keyring: Keyring) -> Self {
        Self {
            transport: Arc::clone(&self.transport),
            authorizer: self.authorizer.with(keyring),
            retry: self.retry.clone(),
        }
    }

    /// The URL of something of the target's repository, `path` relative to it.
    pub(crate) fn url(&self, target: &Target, path: &str) -> Result<Url, RegistryError> {
        hosts::api(self.transport.rules(), &target.repository)
            .and_then(|api| api.join(path).ok())
            // A registry whose name cannot be a host name has nothing.
            .ok_or_else(|| target.not_found())
    }

    /// Tries a call until it succeeds, fails for good, or has been tried often enough.
    pub(crate) async fn with_retry<T, F, R>(
        &self,
        target: &Target,
        mut attempt: F,
    ) -> Result<T, RegistryError>
    where
        F: FnMut() -> R + Send,
        R: Future<Output = Result<T, Failure>> + Send,
        T: Send,
    {
        let mut tries = Tries::new();
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(failure) => self.wait_after(target, &mut tries, failure).await?,
            }
        }
    }

    /// Counts a try that failed, and waits before the next one, if there is to be one.
    pub(crate) async fn wait_after(
        &self,
        target: &Target,
        tries: &mut Tries,
        failure: Failure,
    ) -> Result<(), RegistryError> {
        let failure = self.without_secrets(target, failure).await;
        let (fault, after) = match failure {
            Failure::Final(error) => return Err(self.last_word(target, error).await),
            Failure::Passing { fault, after } => (fault, after),
        };
        tries.made += 1;
        let wait = self.retry.wait(tries.made, after, fastrand::f64());
        if !self.retry.goes_on(tries.made, tries.elapsed(), wait) {
            return Err(RegistryError::Unavailable {
                registry: target.registry().to_owned(),
                what: target.what.clone(),
                attempts: tries.made,
                waited: tries.elapsed(),
                source: Box::new(fault),
            });
        }
        tracing::debug!(
            registry = target.registry(),
            what = target.what,
            attempt = tries.made,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            fault = &fault as &dyn std::error::Error,
            "registry call failed, trying again"
        );
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// The same failure, without what is secret of the login, should the answer repeat it: gateways do
    /// that with headers, and what they say is stored with a request.
    pub(crate) async fn without_secrets(&self, target: &Target, failure: Failure) -> Failure {
        match failure {
            Failure::Final(RegistryError::Refused {
                registry,
                what,
                status,
                reason,
            }) => Failure::Final(RegistryError::Refused {
                registry,
                what,
                status,
                reason: self.authorizer.masked(target, reason).await,
            }),
            Failure::Passing {
                fault:
                    Fault::Status {
                        host,
                        status,
                        reason,
                    },
                after,
            } => Failure::Passing {
                fault: Fault::Status {
                    host,
                    status,
                    reason: self.authorizer.masked(target, reason).await,
                },
                after,
            },
            other => other,
        }
    }

    /// The error a call ends with. A refused access says which login was shown, or where one was
    /// looked for; what that takes is done only here, where somebody will read it.
    async fn last_word(&self, target: &Target, error: RegistryError) -> RegistryError {
        match error {
            RegistryError::Denied {
                registry,
                what,
                status,
                ..
            } => {
                let login = match self.authorizer.search(target).await {
                    Ok(search) => search.to_string(),
                    Err(_) => "the service's auth files cannot be read".to_owned(),
                };
                RegistryError::Denied {
                    registry,
                    what,
                    status,
                    login,
                }
            }
            other => other,
        }
    }

    /// See [`crate::RegistryClient::explain_login`].
    pub(crate) async fn explain_login(
        &self,
        target: &Target,
    ) -> Result<LoginSearch, RegistryError> {
        self.with_retry(target, || self.authorizer.search(target))
            .await
    }

    /// See [`crate::RegistryClient::login`].
    pub(crate) async fn login(&self, target: &Target) -> Result<Option<Login>, RegistryError> {
        self.with_retry(target, || self.authorizer.login(target))
            .await
    }

    /// One try: sends the request, and once more with fresh authorization if the registry wants
    /// some. Any answer comes back except those that ask to try again.
    pub(crate) async fn attempt(
        &self,
        target: &Target,
        outgoing: &Outgoing,
    ) -> Result<Response, Failure> {
        let shown = self.authorizer.current(target).await?;
        let mut response = self.send(target, outgoing, shown.as_ref()).await?;
        if wants_login(&response, outgoing, shown.as_ref()) {
            match self.fresh(target, &response, shown.as_ref()).await? {
                Some(fresh) => response = self.send(target, outgoing, Some(&fresh)).await?,
                None if response.status() == StatusCode::UNAUTHORIZED => {
                    // There is nothing else to show.
                    return Err(target.denied(StatusCode::UNAUTHORIZED).into());
                }
                None => {}
            }
        }
        if is_passing(response.status()) {
            return Err(refusal::passing(response).await);
        }
        Ok(response)
    }

    /// Another authorization than the one that was shown: by the challenge of the answer, or by
    /// that of the registry where it refused a stranger without one.
    async fn fresh(
        &self,
        target: &Target,
        response: &Response,
        shown: Option<&Authorization>,
    ) -> Result<Option<Authorization>, Failure> {
        if response.status() == StatusCode::UNAUTHORIZED {
            let fresh = self.authorizer.renew(target, response.headers()).await?;
            if fresh.is_some() {
                return Ok(fresh.filter(|fresh| Some(fresh) != shown));
            }
        }
        if shown.is_some() || !self.authorizer.has_login(target).await? {
            return Ok(None);
        }
        self.challenged(target).await
    }

    /// The authorization that a registry asks for at `/v2/`, where it refused a stranger without
    /// asking: some hide what is private (distribution specification, "determining support").
    /// Each registry is asked once.
    async fn challenged(&self, target: &Target) -> Result<Option<Authorization>, Failure> {
        let mut open = self.authorizer.open().await;
        // Another call may have asked meanwhile, also one with another login, which got nothing
        // for its own.
        let known = self.authorizer.current(target).await?;
        if known.is_some() || open.contains(target.registry()) {
            return Ok(known);
        }
        let Some(base) = hosts::base(self.transport.rules(), &target.repository) else {
            return Ok(None);
        };
        let asking = Outgoing::new(Method::GET, base);
        let asked = self.send(target, &asking, None).await?;
        if is_passing(asked.status()) {
            return Err(refusal::passing(asked).await);
        }
        let fresh = match asked.status() {
            StatusCode::UNAUTHORIZED => self.authorizer.renew(target, asked.headers()).await?,
            _ => None,
        };
        if fresh.is_none() {
            open.insert(target.registry().to_owned());
        }
        Ok(fresh)
    }

    async fn send(
        &self,
        target: &Target,
        outgoing: &Outgoing,
        authorization: Option<&Authorization>,
    ) -> Result<Response, Failure> {
        let header = authorization.map(Authorization::header);
        self.transport
            .send(outgoing, header)
            .await
            .map_err(|failure| failure.during(target))
    }
}

/// Whether an answer may be another one with a login. A 401 of the registry itself says so; one
/// from a host it redirected to says nothing about its tokens, and must not name a place to send
/// credentials to. A stranger may be told that there is nothing (404), or nothing for him (403).
fn wants_login(response: &Response, outgoing: &Outgoing, shown: Option<&Authorization>) -> bool {
    let of_registry = same_origin(response.url(), &outgoing.url);
    of_registry
        && match response.status() {
            StatusCode::UNAUTHORIZED => true,
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => shown.is_none(),
            _ => false,
        }
}
