//! Taking in a request.
