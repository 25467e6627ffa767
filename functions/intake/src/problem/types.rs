//! The kinds of errors that the API answers with: each has a name that stays, and a page that says what to do.

use http::StatusCode;
use iib_request::{Refusal, Rule};

/// A kind of error. Its name is the last part of its address (RFC 9457, `type`), and never changes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProblemType {
    pub(crate) name: &'static str,
    pub(crate) status: StatusCode,
    /// What is wrong, in few words (RFC 9457, `title`).
    pub(crate) title: &'static str,
    /// What to do about it.
    pub(crate) advice: &'static str,
}

macro_rules! types {
    ($($constant:ident: $name:literal, $status:ident, $title:literal, $advice:literal;)*) => {
        $(pub(crate) static $constant: ProblemType = ProblemType {
            name: $name,
            status: StatusCode::$status,
            title: $title,
            advice: $advice,
        };)*

        /// All of them.
        pub(crate) static TYPES: &[&ProblemType] = &[$(&$constant),*];
    };
}

types! {
    MALFORMED: "malformed-body", BAD_REQUEST, "The body cannot be read",
        "Send a JSON document, whole, in UTF-8. A proxy in between may have cut it off.";
    NOT_AN_OBJECT: "no-object", BAD_REQUEST, "The body is no JSON object",
        "Send the parameters as the members of one JSON object; a batch has its requests in \"build_requests\".";
    MEDIA_TYPE: "media-type", UNSUPPORTED_MEDIA_TYPE, "The body does not say that it is JSON",
        "Send the header Content-Type: application/json.";
    BODY_TOO_LARGE: "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large",
        "Split what is asked for into several requests, or a batch into several batches.";
    ANSWER_TOO_LARGE: "answer-too-large", PAYLOAD_TOO_LARGE, "The answer would be too large",
        "Ask for less, or in the way that the text names.";
    NOT_FOUND: "not-found", NOT_FOUND, "There is no such thing",
        "See whether the number of the request and the path are right: GET /api/v1/builds lists the requests there are.";
    NO_DOCUMENT: "no-such-document", NOT_FOUND, "The request has no such document",
        "The text says why. Requests of other kinds have other documents; what is too old was removed.";
    EXPIRED: "expired", GONE, "What was kept of the request has expired",
        "Logs and documents are kept for some days after the end of a request; what it made is in the registry. Operators set the days with IIB_REQUEST_DATA_DAYS_TO_LIVE.";
    NOT_FINISHED: "not-finished", BAD_REQUEST, "The request goes on",
        "Ask again when it has ended: GET /api/v1/builds/<id>?after=<version>&wait=20 waits for a change. A log can be read meanwhile with ?live=true.";
    OTHER_KIND: "other-kind", BAD_REQUEST, "Requests of this kind have no such document",
        "The text names the kind that has it.";
    PACKAGE: "which-package", BAD_REQUEST, "It does not say which package is meant",
        "Add ?package=<name> with one of those that the text names.";
    PARAMETER: "bad-parameter", BAD_REQUEST, "A parameter of the address cannot be used",
        "The text says which, and what it may be.";
    METHOD: "method-not-allowed", METHOD_NOT_ALLOWED, "The address is there, and not for this method",
        "The header Allow of the answer names the methods.";
    UNAUTHORIZED: "unauthorized", UNAUTHORIZED, "It does not say who asks",
        "Show a token (Authorization: Bearer …), or ask through the proxy that logs users in. What is wrong with a token stands in the header WWW-Authenticate.";
    NO_SCOPE: "no-scope", FORBIDDEN, "The token is for other things than this",
        "Ask the issuer for a token with one of the scopes that the header WWW-Authenticate names; operators set them with IIB_JWT_SCOPES.";
    NOT_A_WORKER: "not-a-worker", FORBIDDEN, "The user may not change requests from outside",
        "Operators name such users in IIB_WORKER_USERNAMES.";
    SOMEBODY_ELSES: "somebody-elses", FORBIDDEN, "The request is somebody else's",
        "Ask whoever made it, or an operator: GET /api/v1/builds/<id> names the user.";
    NOT_CANCELLED: "not-cancelled", CONFLICT, "The request cannot be cancelled any more",
        "If it overwrote an index, POST /api/v1/builds/<id>/rollback puts back what that named before.";
    OTHER_CALL: "other-call", UNPROCESSABLE_ENTITY, "The Idempotency-Key is that of another call",
        "Use a new key for each thing that you ask for; the text names the request that the key made.";
    TOO_MANY_LIVE: "too-many-live", TOO_MANY_REQUESTS, "The user has too many requests that go on",
        "Wait until some have ended, or cancel them; the header Retry-After says when to look again.";
    SECRET_TOO_LARGE: "secret-too-large", BAD_REQUEST, "A login is too large to be kept",
        "Send the logins of those registries only that the request reads.";
    NOT_SCHEDULED: "not-scheduled", INTERNAL_SERVER_ERROR, "The request is stored, and its work could not begin",
        "The requests that the text names have failed: send them again.";
    DOCUMENT_MISSING: "document-missing", INTERNAL_SERVER_ERROR, "A document that should be there is not",
        "The text says what may be the reason; ask the operators of the service.";
    INTERNAL: "internal", INTERNAL_SERVER_ERROR, "The service failed",
        "Ask again. If it happens again, tell the operators when it was: their log says why.";
    UNHEALTHY: "unhealthy", INTERNAL_SERVER_ERROR, "The service's store does not answer",
        "Ask again later; operators find the cause in the log.";
    NO_ISSUER: "issuer-unavailable", SERVICE_UNAVAILABLE, "Tokens cannot be verified now",
        "Ask again after the time in the header Retry-After.";
    FOREIGN_NAME: "foreign-name", MISDIRECTED_REQUEST, "The service does not go by the name it was called",
        "Call it as localhost, or name the host in IIB_HOSTS.";
    FOREIGN_PAGE: "foreign-page", FORBIDDEN, "A page of another site made the call",
        "Call from a page of the service itself, or by a program.";
    IMAGE: "image", BAD_REQUEST, "An image is not named by a pull spec",
        "Write it as registry/repository:tag or registry/repository@digest.";
    UNKNOWN_PARAMETER: "unknown-parameter", BAD_REQUEST, "A parameter is not known",
        "The text names it: see whether it is misspelt, or one of another kind of request.";
    MISSING: "missing-parameter", BAD_REQUEST, "A parameter is missing",
        "The text names it.";
    TYPE: "wrong-type", BAD_REQUEST, "A parameter has another type",
        "The text says which one it has to have.";
    CHOICE: "not-a-choice", BAD_REQUEST, "A value is none of those there are",
        "The text says what it may be.";
    NEEDS: "needs-another", BAD_REQUEST, "A parameter is taken beside another one only",
        "Give both, or neither.";
    TAG: "tag", BAD_REQUEST, "A text cannot be used as a tag",
        "The text says why, and what can be.";
    TOO_MANY: "too-many", BAD_REQUEST, "It is more than is taken at once",
        "Split it into several requests.";
    HOST: "host", BAD_REQUEST, "An image is at a host that the service does not speak to",
        "Operators name registries in IIB_ALLOWED_REGISTRIES, and those inside of their network in IIB_INSECURE_REGISTRIES.";
    NOT_ALLOWED: "not-allowed", FORBIDDEN, "The settings do not allow it for this index",
        "Operators name the indexes in IIB_GRAPH_MODE_INDEX_ALLOW_LIST.";
    TOKEN_NEEDED: "token-needed", FORBIDDEN, "An index is overwritten with the user's own login",
        "Send it as user:password in the parameter that the text names.";
    FINAL_STATE: "final-state", BAD_REQUEST, "A request that has ended stays in its state",
        "Send a new request.";
    NOTHING_OVERWRITTEN: "nothing-overwritten", BAD_REQUEST, "There is nothing to put back",
        "Only a request that has overwritten an index can be rolled back.";
    NO_SUCH_PAGE: "no-such-page", NOT_FOUND, "There is no such page",
        "Pages count from 1; \"meta\" of the first one says how many there are.";
}

/// The kind of a refusal.
pub(crate) fn of(refusal: &Refusal) -> &'static ProblemType {
    match refusal.rule() {
        Rule::Image => &IMAGE,
        Rule::UnknownParameter => &UNKNOWN_PARAMETER,
        Rule::Missing => &MISSING,
        Rule::Type => &TYPE,
        Rule::Choice => &CHOICE,
        Rule::Needs => &NEEDS,
        Rule::Tag => &TAG,
        Rule::TooMany => &TOO_MANY,
        Rule::Host => &HOST,
        Rule::NotAllowed => &NOT_ALLOWED,
        Rule::TokenNeeded => &TOKEN_NEEDED,
        Rule::FinalState => &FINAL_STATE,
        Rule::NothingOverwritten => &NOTHING_OVERWRITTEN,
        Rule::NoSuchPage => &NO_SUCH_PAGE,
        // Rules may come that this version has no page for.
        _ => &CHOICE,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_parts_of_an_address_and_each_is_one() {
        let names: BTreeSet<&str> = TYPES.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), TYPES.len());
        let plain = |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        assert!(names.iter().all(plain));
    }
}
