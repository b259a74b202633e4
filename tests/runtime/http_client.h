#pragma once

#include <chrono>
#include <map>
#include <string>

namespace kiln {

struct HttpReply {
  int status = 0;                              // 0: the connection ended without a whole response
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

/// A connection to 127.0.0.1 that sends any bytes, whole requests or not.
class HttpConnection {
 public:
  explicit HttpConnection(int port);
  ~HttpConnection();
  HttpConnection(HttpConnection&& other) noexcept;
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  /// False when the other side is gone.
  bool send(const std::string& bytes);
  /// Closes its own side with a reset, as a client that died.
  void reset();
  /// Reads one response; `head`: that of a HEAD request, which has no body.
  HttpReply reply(bool head = false);
  /// Whether the other side closes within that time; what it sends before is dropped.
  bool closed_within(std::chrono::milliseconds time);

 private:
  bool receive();

  int socket_;
  std::string received_;
};

/// A request on a connection of its own.
HttpReply http(int port, const std::string& method, const std::string& target, const std::string& body = "");
/// The bytes of a request.
std::string http_request(const std::string& method, const std::string& target, const std::string& body = "");
/// "http://127.0.0.1:8080/" -> 8080
int port_of(const std::string& url);

}  // namespace kiln
