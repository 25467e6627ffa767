//! What names lead to, looked at when a connection is made.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use iib_oci::hosts::check_address;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Who knows the addresses of names.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses of a name, at least one. It is asked for each connection; ports are not its
    /// business.
    ///
    /// # Errors
    /// As the system's own: [`io::Error`].
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>>;
}

/// The resolver of the operating system.
pub(crate) struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.collect())
    }
}

/// A resolver, as the HTTP client wants one.
pub(crate) struct Names {
    pub(crate) resolver: Arc<dyn Resolver>,
    /// Whether addresses that lead inside are left out. What is left is connected to: nobody
    /// resolves the name once more in between.
    pub(crate) only_outside: bool,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, only_outside) = (Arc::clone(&self.resolver), self.only_outside);
        Box::pin(async move {
            let mut found = resolver.addresses(name.as_str()).await?;
            if only_outside {
                let mut refusal = None;
                found.retain(|address| match check_address(name.as_str(), address.ip()) {
                    Ok(()) => true,
                    Err(refused) => {
                        tracing::warn!(host = name.as_str(), %address, "an address is not used");
                        refusal = Some(refused);
                        false
                    }
                });
                if let (true, Some(refusal)) = (found.is_empty(), refusal) {
                    return Err(refusal.into());
                }
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use iib_oci::hosts::HostRefusal;

    use super::*;

    /// Answers that come one after another.
    struct Turns(Mutex<VecDeque<Vec<SocketAddr>>>);

    #[async_trait]
    impl Resolver for Turns {
        async fn addresses(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
            Ok(self.0.lock().unwrap().pop_front().unwrap_or_default())
        }
    }

    fn names(only_outside: bool, turns: &[&[&str]]) -> Names {
        let turns = turns.iter().map(|addresses| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap());
            addresses.map(|ip| SocketAddr::new(ip, 0)).collect()
        });
        Names {
            resolver: Arc::new(Turns(Mutex::new(turns.collect()))),
            only_outside,
        }
    }

    async fn look_up(names: &Names) -> Result<Vec<String>, HostRefusal> {
        match names.resolve("r.example".parse().unwrap()).await {
            Ok(found) => Ok(found.map(|address| address.ip().to_string()).collect()),
            Err(error) => Err(*error.downcast::<HostRefusal>().unwrap()),
        }
    }

    #[tokio::test]
    async fn each_answer_is_looked_at_anew() {
        let names = names(true, &[&["1.1.1.1"], &["127.0.0.1"], &["1.1.1.1"]]);
        assert_eq!(look_up(&names).await.unwrap(), ["1.1.1.1"]);
        let refused = look_up(&names).await.unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("r.example is at a loopback")
        );
        assert_eq!(look_up(&names).await.unwrap(), ["1.1.1.1"]);
    }

    #[tokio::test]
    async fn of_several_addresses_those_inside_are_left_out() {
        let mixed: &[&str] = &["10.0.0.1", "1.1.1.1", "::ffff:127.0.0.1", "fd00::1"];
        assert_eq!(look_up(&names(true, &[mixed])).await.unwrap(), ["1.1.1.1"]);
        assert_eq!(look_up(&names(false, &[mixed])).await.unwrap().len(), 4);
    }
}
