//! The pages of the kinds of errors.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;

use super::{Root, page};
use crate::problem::Problem;
use crate::problem::types::{ProblemType, TYPES};

#[derive(Template)]
#[template(path = "problems.html")]
struct Problems {
    root: String,
    kinds: &'static [&'static ProblemType],
}

/// `GET /problems`: all kinds.
pub(crate) async fn list(Root(root): Root) -> Result<Response, Problem> {
    page(&Problems { root, kinds: TYPES })
}

#[derive(Template)]
#[template(path = "problem.html")]
struct OneProblem {
    root: String,
    kind: &'static ProblemType,
}

/// `GET /problems/<name>`: one kind, and what to do.
pub(crate) async fn one(Root(root): Root, Path(name): Path<String>) -> Result<Response, Problem> {
    let kind = TYPES.iter().find(|kind| kind.name == name);
    let kind = kind.ok_or_else(Problem::not_found)?;
    page(&OneProblem { root, kind })
}
