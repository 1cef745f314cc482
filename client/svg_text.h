// Texts of a picture in SVG: escaped, and cut to fit a width. The fonts of
// those who look at it are not known, so widths are estimated.
//
// Thread-safe: free functions of their arguments.
#ifndef QUANTD_CLIENT_SVG_TEXT_H_
#define QUANTD_CLIENT_SVG_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace quantd {

// `text` as XML character data and attribute value: markup is escaped, and
// bytes that XML 1.0 does not allow (control characters, no UTF-8) become
// U+FFFD.
std::string XmlEscape(absl::string_view text);

// How wide `text` is at most in a sans-serif font of that size, in the unit of
// the size: characters by their widths in DejaVu Sans, which is wide.
double TextWidth(absl::string_view text, double size);

// `text`, or its beginning and end with an ellipsis between, as much as fits.
std::string FittedText(absl::string_view text, double size, double width);

}  // namespace quantd

#endif  // QUANTD_CLIENT_SVG_TEXT_H_
