//! The calls of the API: where each goes, and what is said of it. The router and the API's description are made of the
//! same table, so that neither has what the other has not.

use axum::Router;
use axum::routing::MethodRouter;

use crate::api::Api;
use crate::caller::guarded;
use crate::reference::Operation;

/// A call.
pub(crate) struct Endpoint {
    /// Its path, with the names of what differs in braces.
    pub(crate) path: String,
    /// What answers it.
    pub(crate) handler: MethodRouter<Api>,
    /// What is said of it.
    pub(crate) operation: Operation,
}

/// A table of calls.
#[derive(Default)]
pub(crate) struct Endpoints(Vec<Endpoint>);

impl Endpoints {
    /// The same with one more.
    pub(crate) fn with(
        mut self,
        path: impl Into<String>,
        handler: MethodRouter<Api>,
        operation: Operation,
    ) -> Self {
        self.0.push(Endpoint {
            path: path.into(),
            handler,
            operation,
        });
        self
    }

    /// These and those.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.0.iter()
    }

    /// What answers them.
    pub(crate) fn router(self, api: &Api) -> Router<Api> {
        let all = self.0.into_iter();
        all.fold(Router::new(), |router, endpoint| {
            let handler = match endpoint.operation.is_guarded {
                true => guarded(endpoint.handler, api),
                false => endpoint.handler,
            };
            router.route(&endpoint.path, handler)
        })
    }
}
