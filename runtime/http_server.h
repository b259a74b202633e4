#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kiln {

struct HttpResponse {
  int status = 200;
  std::string type, body;  // "text/html; charset=utf-8"
};

/// What is served at a path: all that is not in the table is answered with 404 or 405.
struct HttpRoute {
  std::string method, path;  // "GET" (and with it HEAD), "/"
  std::function<HttpResponse(const std::string& body)> answer;
};

/// What one client may ask of the server.
struct HttpLimits {
  uint32_t header_bytes = 8 << 10;
  uint64_t body_bytes = 64 << 10;
  std::chrono::milliseconds time{10'000};  // for a whole request, waiting for it included, and for its response
  int connections = 4096;                  // open at once; further ones wait in the kernel's queue
};

/// Where a server listens; port 0 is any that is free.
struct HttpAddress {
  std::string host = "127.0.0.1";
  uint16_t port = 0;
};

/// "[ADDRESS:]PORT": "8080", "0.0.0.0:8080", "[::1]:0". Throws UsageError.
HttpAddress parse_http_address(const std::string& text);

/// An HTTP/1.1 server on one thread, by Boost.Beast. A client that is slow, broken or gone costs a connection until its
/// time is up, and never another client's answer.
class HttpServer {
 public:
  /// Listens from now on; throws Failure where that is impossible.
  HttpServer(const HttpAddress& address, std::vector<HttpRoute> routes, const HttpLimits& limits = {});
  ~HttpServer();

  /// "http://127.0.0.1:8080/", with the port that was picked for port 0; where the server listens at every address of
  /// this machine, with the one that other machines reach it by.
  std::string url() const;

  /// Answers requests until `stopped`, which is asked ten times a second, returns true. Returns how many it answered.
  /// What an answer throws is a response with status 500.
  int64_t run(const std::function<bool()>& stopped);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace kiln
