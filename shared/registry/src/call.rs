//! A call: authorization, one fresh try after a 401, and retries.

use std::sync::Arc;

use iib_ports::RegistryError;
use reqwest::{Response, StatusCode};
use url::Url;

use crate::auth::Authorizer;
use crate::hosts::same_origin;
use crate::refusal;
use crate::retry::{Failure, RetryPolicy, is_passing};
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
            Self::Fault(fault) => fault.into(),
            Self::Protocol(problem) => target.protocol(problem).into(),
        }
    }
}

impl Caller {
    /// The URL of something of the target's repository, `path` relative to it.
    pub(crate) fn url(&self, target: &Target, path: &str) -> Result<Url, RegistryError> {
        self.transport
            .hosts()
            .api(&target.repository)
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
        let mut tried = 0;
        loop {
            tried += 1;
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(failure) => self.wait_after(target, tried, failure).await?,
            }
        }
    }

    /// Waits before the next try, if there is to be one.
    pub(crate) async fn wait_after(
        &self,
        target: &Target,
        tried: u32,
        failure: Failure,
    ) -> Result<(), RegistryError> {
        let (fault, after) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing { fault, after } => (fault, after),
        };
        if tried >= self.retry.attempts {
            return Err(RegistryError::Unavailable {
                registry: target.registry().to_owned(),
                what: target.what.clone(),
                attempts: tried,
                source: Box::new(fault),
            });
        }
        let wait = self.retry.wait(tried, after, fastrand::f64());
        tracing::debug!(
            registry = target.registry(),
            what = target.what,
            attempt = tried,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            fault = &fault as &dyn std::error::Error,
            "registry call failed, trying again"
        );
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// One try: sends the request, and once more with fresh authorization if the registry asks
    /// for it. Any answer comes back except those that ask to try again.
    pub(crate) async fn attempt(
        &self,
        target: &Target,
        outgoing: &Outgoing,
    ) -> Result<Response, Failure> {
        let authorization = self.authorizer.current(target).await?;
        let response = self.send(target, outgoing, authorization.as_ref()).await?;
        let response = if self.asks_for_authorization(&response, outgoing) {
            let fresh = self.authorizer.renew(target, response.headers()).await?;
            if fresh.is_none() || fresh == authorization {
                // There is nothing else to show.
                return Err(target.denied(StatusCode::UNAUTHORIZED).into());
            }
            self.send(target, outgoing, fresh.as_ref()).await?
        } else {
            response
        };
        if is_passing(response.status()) {
            return Err(refusal::passing(response).await);
        }
        Ok(response)
    }

    async fn send(
        &self,
        target: &Target,
        outgoing: &Outgoing,
        authorization: Option<&crate::auth::Authorization>,
    ) -> Result<Response, Failure> {
        let header = authorization.map(crate::auth::Authorization::header);
        self.transport
            .send(outgoing, header)
            .await
            .map_err(|failure| failure.during(target))
    }

    /// A 401 of the registry itself. One from a host it redirected to says nothing about its
    /// tokens, and must not name a place to send credentials to.
    fn asks_for_authorization(&self, response: &Response, outgoing: &Outgoing) -> bool {
        response.status() == StatusCode::UNAUTHORIZED && same_origin(response.url(), &outgoing.url)
    }
}
