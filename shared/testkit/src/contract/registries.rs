//! The contract of [`iib_ports::Registries`].

use std::sync::Arc;

use iib_oci::{Digest, MediaType, PullSpec, RawManifest, Reference, Repository};
use iib_ports::{GivenLogin, Keyring, Login, Registries, Registry, RegistryError, Secret};

use crate::Pull as _;

/// Somebody with a login at the registry of the suite.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// User name.
    pub user: &'static str,
    /// Password.
    pub password: &'static str,
    /// The first part of the paths this one may read and write, and nobody else.
    pub home: &'static str,
}

const ANN: Tenant = Tenant {
    user: "ann",
    password: "s3cret",
    home: "ann",
};

const BOB: Tenant = Tenant {
    user: "bob",
    password: "hunter2",
    home: "bob",
};

/// Runs the suite; `make` gives clients without a login of their own, and host and port of an empty
/// registry that knows these tenants.
pub async fn registries<R: Registries>(make: impl AsyncFn([Tenant; 2]) -> (R, String)) {
    let (registries, host) = make([ANN, BOB]).await;
    neither_of_two_logins_rides_on_the_others_grant(&registries, &host).await;
    let (registries, host) = make([ANN, BOB]).await;
    at_the_same_time_each_is_who_it_is(&registries, &host).await;
    let (registries, host) = make([ANN, BOB]).await;
    what_was_granted_ends_with_its_keyring(&registries, &host).await;
    let (registries, host) = make([ANN, BOB]).await;
    the_login_of_the_longest_scope_is_shown(&registries, &host).await;
}

impl Tenant {
    fn given(&self, scope: &str) -> GivenLogin {
        GivenLogin {
            scope: scope.to_owned(),
            login: Login {
                user: self.user.to_owned(),
                password: Secret::new(self.password),
            },
        }
    }

    /// A client with this login for the whole registry.
    fn at(&self, registries: &impl Registries, host: &str) -> Arc<dyn Registry> {
        registries.with(Keyring::Given(vec![self.given(host)]))
    }

    fn repository(&self, host: &str) -> Repository {
        Repository::new(host, &format!("{}/app", self.home)).unwrap()
    }

    fn image(&self, host: &str) -> PullSpec {
        format!("{}:v1", self.repository(host)).parse().unwrap()
    }
}

/// A list of nothing; it needs no blobs.
fn manifest() -> RawManifest {
    let list = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#,
        MediaType::DOCKER_LIST
    );
    RawManifest {
        media_type: MediaType::new(MediaType::DOCKER_LIST),
        bytes: list.into_bytes(),
    }
}

async fn write(client: &dyn Registry, tenant: &Tenant, host: &str) -> Result<(), RegistryError> {
    let tag = Reference::Tag("v1".to_owned());
    let repository = tenant.repository(host);
    client.push_manifest(&repository, &tag, &manifest()).await
}

/// Reads and looks in a tenant's home.
async fn read(client: &dyn Registry, tenant: &Tenant, host: &str) -> Result<(), RegistryError> {
    let read = client.pull(&tenant.image(host)).await?;
    assert_eq!(read, manifest());
    let none = Digest::of(b"none");
    let found = client.has_blob(&tenant.repository(host), &none).await?;
    assert!(!found);
    Ok(())
}

async fn is_kept_out(client: &dyn Registry, tenant: &Tenant, host: &str) -> bool {
    let answers = [
        read(client, tenant, host).await,
        write(client, tenant, host).await,
        client
            .has_blob(&tenant.repository(host), &Digest::of(b"none"))
            .await
            .map(drop),
    ];
    answers
        .iter()
        .all(|answer| matches!(answer, Err(RegistryError::Denied { .. })))
}

async fn neither_of_two_logins_rides_on_the_others_grant(registries: &impl Registries, host: &str) {
    let own = registries.with(Keyring::Own);
    let (ann, bob) = (ANN.at(registries, host), BOB.at(registries, host));
    // Whoever comes second asks for what the other has just been granted.
    for _ in 0..2 {
        for (client, tenant, other) in [(&ann, ANN, &bob), (&bob, BOB, &ann)] {
            write(&**client, &tenant, host).await.unwrap();
            assert!(is_kept_out(&**other, &tenant, host).await);
            read(&**client, &tenant, host).await.unwrap();
            assert!(is_kept_out(&**other, &tenant, host).await);
            assert!(is_kept_out(&*own, &tenant, host).await);
        }
    }
}

async fn at_the_same_time_each_is_who_it_is(registries: &impl Registries, host: &str) {
    let (ann, bob) = (ANN.at(registries, host), BOB.at(registries, host));
    let (by_ann, by_bob) = futures::join!(write(&*ann, &ANN, host), write(&*bob, &BOB, host));
    by_ann.unwrap();
    by_bob.unwrap();
    for _ in 0..5 {
        let (by_ann, by_bob, ann_out, bob_out) = futures::join!(
            read(&*ann, &ANN, host),
            read(&*bob, &BOB, host),
            is_kept_out(&*ann, &BOB, host),
            is_kept_out(&*bob, &ANN, host),
        );
        by_ann.unwrap();
        by_bob.unwrap();
        assert!(ann_out && bob_out);
    }
}

async fn what_was_granted_ends_with_its_keyring(registries: &impl Registries, host: &str) {
    let ann = ANN.at(registries, host);
    write(&*ann, &ANN, host).await.unwrap();
    drop(ann);
    let wrong = Tenant {
        password: "wrong",
        ..ANN
    };
    assert!(is_kept_out(&*registries.with(Keyring::Own), &ANN, host).await);
    assert!(is_kept_out(&*wrong.at(registries, host), &ANN, host).await);
    read(&*ANN.at(registries, host), &ANN, host).await.unwrap();
}

async fn the_login_of_the_longest_scope_is_shown(registries: &impl Registries, host: &str) {
    let keyring = Keyring::Given(vec![
        ANN.given(host),
        BOB.given(&format!("{host}/{}", BOB.home)),
        ANN.given("elsewhere.example"),
    ]);
    let both = registries.with(keyring);
    for tenant in [ANN, BOB] {
        write(&*both, &tenant, host).await.unwrap();
        read(&*both, &tenant, host).await.unwrap();
    }
    let elsewhere = registries.with(Keyring::Given(vec![ANN.given("elsewhere.example")]));
    assert!(is_kept_out(&*elsewhere, &ANN, host).await);
}
