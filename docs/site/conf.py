"""The documentation as a site: the Markdown of the repository as it stands there, by Sphinx with MyST.

docs/site/build makes it; a link that leads nowhere is an error.
"""

project = "IIB Serverless"
extensions = ["myst_parser"]
# The source is the repository, so that links between documents, and to files, are those of the repository.
root_doc = "docs/site/index"
include_patterns = ["*.md", "docs/**", "events/**", "examples/**", "functions/**", "iib/**", "infra/**", "shared/**", "conformance/**", "fuzz/**"]
exclude_patterns = ["**/target/**", "target/**", "docs/openapi.json"]
source_suffix = {".md": "markdown"}
# Headings are named as GitHub names them.
myst_heading_anchors = 4
# Documents are read on GitHub and by rustdoc, too: nothing of MyST's own but tables.
myst_enable_extensions = []
html_theme = "furo"
html_title = "IIB Serverless"
html_copy_source = False
html_show_sphinx = False
nitpicky = True
