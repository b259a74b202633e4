#pragma once

#include <functional>
#include <string>

#include "http_server.h"
#include "parallel.h"
#include "program.h"

namespace kiln {

/// Serves a page to draw on, which shows what the model says of the drawing while it is drawn:
///
///     GET  /         the page
///     POST /predict  {"strokes": [[x, y, x, y...]...]} in a unit square, y downwards -> {"probabilities": [...],
///                    "pixels": two hexadecimal digits each, what the model was shown, "seconds": what it took}
///
/// `ready` is told the page's address once it can be opened; ends when `stopped`, and returns how many requests were
/// answered. Throws UsageError where the model does not tell classes of one-channel images by probabilities.
int64_t serve_drawing_page(const kiln_model& model, Context& context, uint8_t* weights, const HttpAddress& address,
                           const std::function<void(const std::string& url)>& ready,
                           const std::function<bool()>& stopped);

}  // namespace kiln
