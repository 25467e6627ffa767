//! Pages of requests: what is asked for and where the other pages are (spec rest-api §7).

use serde::Serialize;

use crate::{ApiSettings, Form, Refusal, Rule};

/// Requests on a page if nobody says how many.
const DEFAULT_PER_PAGE: u32 = 20;

/// Filters of the reference. An empty value means no filter, but for `batch`.
const FILTERS: [&str; 7] = [
    "state",
    "batch",
    "request_type",
    "user",
    "from_index",
    "from_index_startswith",
    "index_image",
];

/// What `GET /builds` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListingQuery {
    /// Number of the page, from 1.
    pub page: u32,
    /// Requests on a page, from 1.
    pub per_page: u32,
    /// How much of each request is shown.
    pub form: Form,
}

/// Where a page stands among the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Meta {
    first: String,
    last: String,
    next: Option<String>,
    page: u32,
    pages: u64,
    per_page: u32,
    previous: Option<String>,
    total: u64,
}

impl ListingQuery {
    /// Reads a query. Of repeated names the first counts; unknown names are ignored.
    ///
    /// # Errors
    /// [`Rule::NoSuchPage`] for a page or page size that is no number from 1, and
    /// [`Rule::NoSuchFilter`].
    pub fn read(query: &[(String, String)], settings: &ApiSettings) -> Result<Self, Refusal> {
        let value = |wanted: &str| {
            let mut pairs = query.iter();
            pairs.find_map(|(name, value)| (name == wanted).then_some(value.as_str()))
        };
        for filter in FILTERS {
            if value(filter).is_some_and(|value| !value.is_empty() || filter == "batch") {
                // To pass over it would show requests that were not asked for.
                let text = format!(
                    "The filter \"{filter}\" is not supported by this version: leave it out"
                );
                return Err(Refusal::new(Rule::NoSuchFilter, filter, text));
            }
        }
        let form = match value("verbose") {
            Some(text) if text == "1" || text.eq_ignore_ascii_case("true") => Form::Verbose,
            Some(_) | None => Form::Short,
        };
        let per_page = number(value("per_page"), DEFAULT_PER_PAGE)?;
        Ok(Self {
            page: number(value("page"), 1)?,
            per_page: per_page.min(settings.max_per_page).max(1),
            form,
        })
    }

    /// Places the page among all pages; `builds` is the absolute URL of the listing.
    ///
    /// # Errors
    /// [`Rule::NoSuchPage`] past the end. The first page is always there.
    pub fn meta(&self, total: u64, builds: &str) -> Result<Meta, Refusal> {
        let pages = total.div_ceil(u64::from(self.per_page));
        let page = u64::from(self.page);
        if page > pages.max(1) {
            return Err(Refusal::no_such_page());
        }
        let url = |page: u64| format!("{builds}?page={page}&per_page={}", self.per_page);
        Ok(Meta {
            first: url(1),
            last: url(pages),
            next: (page < pages).then(|| url(page + 1)),
            page: self.page,
            pages,
            per_page: self.per_page,
            previous: (page > 1).then(|| url(page - 1)),
            total,
        })
    }
}

/// A number from 1. One that is too large is a page that is not there.
fn number(text: Option<&str>, default: u32) -> Result<u32, Refusal> {
    let Some(text) = text else { return Ok(default) };
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refusal::no_such_page());
    }
    let number = text.parse().map_err(|_| Refusal::no_such_page())?;
    if number == 0 {
        return Err(Refusal::no_such_page());
    }
    Ok(number)
}

#[cfg(test)]
mod tests;
