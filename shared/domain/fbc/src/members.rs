//! A JSON object in the making.

use crate::anew::Strings;

/// The members so far, without the braces around them.
#[derive(Debug)]
pub(crate) struct Members {
    text: String,
    strings: Strings,
}

impl Members {
    pub(crate) fn new(strings: Strings) -> Self {
        Self {
            text: String::new(),
            strings,
        }
    }

    /// A member whose value is JSON text.
    pub(crate) fn raw(&mut self, name: &str, value: &str) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(&self.strings.html(name));
        self.text.push(':');
        self.text.push_str(value);
    }

    pub(crate) fn string(&mut self, name: &str, value: &str) {
        self.raw(name, &self.strings.html(value));
    }

    /// A text that is left out when it is empty.
    pub(crate) fn filled(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.string(name, value);
        }
    }

    /// A list of JSON texts that is left out when it is empty.
    pub(crate) fn filled_list(&mut self, name: &str, items: &[String]) {
        if !items.is_empty() {
            self.raw(name, &list(items));
        }
    }

    /// A list of texts that is left out when it is empty.
    pub(crate) fn filled_texts<T: AsRef<str>>(&mut self, name: &str, texts: &[T]) {
        let texts = texts.iter().map(|text| self.strings.html(text.as_ref()));
        let texts: Vec<String> = texts.collect();
        self.filled_list(name, &texts);
    }

    /// Members of another object.
    pub(crate) fn several(&mut self, members: &str) {
        if !self.text.is_empty() && !members.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(members);
    }

    /// Without braces.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    pub(crate) fn finish(self) -> String {
        format!("{{{}}}", self.text)
    }
}

/// A list of JSON texts.
pub(crate) fn list(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}
