#include "http_client.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace kiln {

HttpConnection::HttpConnection(int port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error(fmt::format("no connection to port {}", port));
}

HttpConnection::~HttpConnection() {
  if (socket_ >= 0) ::close(socket_);
}

HttpConnection::HttpConnection(HttpConnection&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), received_(std::move(other.received_)) {}

bool HttpConnection::send(const std::string& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::send(socket_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (count <= 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

void HttpConnection::reset() {
  const linger now = {.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(std::exchange(socket_, -1));
}

bool HttpConnection::receive() {
  std::array<char, 4096> block{};
  const ssize_t count = ::recv(socket_, block.data(), block.size(), 0);
  if (count > 0) received_.append(block.data(), static_cast<size_t>(count));
  return count > 0;
}

HttpReply HttpConnection::reply(bool head) {
  size_t end;
  while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
    if (!receive()) return {};
  }
  HttpReply result;
  result.status = std::atoi(received_.c_str() + received_.find(' '));
  for (size_t line = received_.find("\r\n") + 2; line < end; line = received_.find("\r\n", line) + 2) {
    const size_t colon = received_.find(": ", line);
    std::string name = received_.substr(line, colon - line);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    result.headers[name] = received_.substr(colon + 2, received_.find("\r\n", line) - colon - 2);
  }
  received_.erase(0, end + 4);
  const size_t length = head ? 0 : std::stoul(result.headers["content-length"]);
  while (received_.size() < length) {
    if (!receive()) return {};
  }
  result.body = received_.substr(0, length);
  received_.erase(0, length);
  return result;
}

bool HttpConnection::closed_within(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd waiting = {.fd = socket_, .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) return false;
    if (!receive()) return true;
  }
}

std::string http_request(const std::string& method, const std::string& target, const std::string& body) {
  return fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", method, target, body.size(),
                     body);
}

HttpReply http(int port, const std::string& method, const std::string& target, const std::string& body) {
  HttpConnection connection(port);
  connection.send(http_request(method, target, body));
  return connection.reply(method == "HEAD");
}

int port_of(const std::string& url) { return std::atoi(url.c_str() + url.rfind(':') + 1); }

}  // namespace kiln
