#include "http_server.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <optional>
#include <utility>

#include "error.h"

namespace kiln {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using beast::error_code;

/// How often a server looks whether it is to stop.
constexpr std::chrono::milliseconds kTick{100};
/// How long a client that is sent away may go on sending, so that the answer reaches it and not a reset.
constexpr std::chrono::milliseconds kFarewell{2000};
/// Files and pipes of the process besides connections.
constexpr int kOtherFiles = 64;

/// As many connections as wanted, or as the process may have; at least one.
int allowed_connections(int wanted) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const rlim_t files = static_cast<rlim_t>(wanted) + kOtherFiles;
  if (limit.rlim_cur < files) {
    limit.rlim_cur = std::min(files, limit.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  return std::max(1, static_cast<int>(std::min<rlim_t>(files, limit.rlim_cur)) - kOtherFiles);
}

HttpResponse text_response(int status, const std::string& text) {
  return {.status = status, .type = "text/plain; charset=utf-8", .body = text + "\n"};
}

/// The address that other machines reach this one by, or this machine's own where there are none: connecting by UDP
/// sends nothing, and binds to where a packet would leave.
asio::ip::address own_address(asio::io_context& context, bool v6) {
  using asio::ip::udp;
  error_code error;
  udp::socket socket(context);
  socket.connect({asio::ip::make_address(v6 ? "2001:db8::1" : "192.0.2.1"), 9},
                 error);  // nobody's: addresses for documentation
  if (!error) return socket.local_endpoint().address();
  if (v6) return asio::ip::address_v6::loopback();
  return asio::ip::address_v4::loopback();
}

}  // namespace

struct HttpServer::State {
  State(std::vector<HttpRoute> r, const HttpLimits& l)
      : routes(std::move(r)), limits(l), connections(allowed_connections(l.connections)) {}

  void accept();
  void closed();

  std::vector<HttpRoute> routes;
  HttpLimits limits;
  int connections, open = 0;
  bool accepting = false, stopping = false;
  int64_t answered = 0;
  // Sessions live in the context's handlers and end with it, before what they refer to.
  asio::io_context context{1};
  tcp::acceptor acceptor{context};
  asio::steady_timer tick{context}, retry{context};
};

namespace {

/// One connection: requests one after the other, until the client leaves, errs or takes too long.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(HttpServer::State& server, tcp::socket socket) : server_(server), stream_(std::move(socket)) {
    ++server_.open;
  }
  ~Session() { server_.closed(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void read() {
    parser_.emplace();
    parser_->header_limit(server_.limits.header_bytes);
    parser_->body_limit(server_.limits.body_bytes);
    stream_.expires_after(server_.limits.time);
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](error_code error, size_t) {
      if (!error)
        self->write(self->answer(), self->parser_->keep_alive());
      else if (const int status = status_of(error); status != 0)
        self->write(text_response(status, std::string(http::obsolete_reason(http::int_to_status(status)))), false);
    });
  }

 private:
  /// What a request is answered with that could not be read; 0: nobody is there to be answered.
  static int status_of(error_code error) {
    if (error == http::error::body_limit) return 413;
    if (error == http::error::header_limit || error == http::error::buffer_overflow) return 431;
    const bool gone = error == http::error::end_of_stream || error == http::error::partial_message;
    return error.category() == make_error_code(http::error::bad_method).category() && !gone ? 400 : 0;
  }

  HttpResponse answer() {
    const auto& request = parser_->get();
    const std::string target(request.target()), path = target.substr(0, target.find('?'));
    std::string method(request.method_string());
    head_ = method == "HEAD";
    if (head_) method = "GET";
    const auto route =
        std::find_if(server_.routes.begin(), server_.routes.end(), [&](const HttpRoute& r) { return r.path == path; });
    if (route == server_.routes.end()) return text_response(404, "there is nothing here but /");
    if (route->method != method) {
      allow_ = route->method == "GET" ? "GET, HEAD" : route->method;
      return text_response(405, fmt::format("{} takes {}", path, allow_));
    }
    try {
      return route->answer(request.body());
    } catch (const std::exception& error) {
      return text_response(500, error.what());
    }
  }

  void write(HttpResponse response, bool keep_alive) {
    ++server_.answered;
    response_ = http::response<http::string_body>();
    response_.result(static_cast<unsigned>(response.status));
    response_.keep_alive(keep_alive);
    response_.set(http::field::content_type, response.type);
    response_.set(http::field::cache_control, "no-store");
    response_.set("X-Content-Type-Options", "nosniff");
    // The pages are whole: nothing is fetched from elsewhere, and no other page frames them.
    response_.set("Content-Security-Policy",
                  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
                  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    if (!allow_.empty()) response_.set(http::field::allow, std::exchange(allow_, {}));
    response_.content_length(response.body.size());
    if (!std::exchange(head_, false)) response_.body() = std::move(response.body);
    stream_.expires_after(server_.limits.time);
    http::async_write(stream_, response_, [self = shared_from_this(), keep_alive](error_code error, size_t) {
      if (error) return;
      if (keep_alive) return self->read();
      self->stream_.socket().shutdown(tcp::socket::shutdown_send, error);
      self->stream_.expires_after(kFarewell);
      self->drain();
    });
  }

  /// Closing with bytes unread would reset the connection, and the client might never see its answer.
  void drain() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](error_code error, size_t) {
      if (!error) self->drain();
    });
  }

  HttpServer::State& server_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{64 << 10};
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
  std::string allow_;  // what a refused request should have been
  bool head_ = false;
};

}  // namespace

void HttpServer::State::accept() {
  accepting = open < connections;
  if (!accepting) return;
  acceptor.async_accept([this](error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (!error) {
      std::make_shared<Session>(*this, std::move(socket))->read();
      return accept();
    }
    // The process or the machine has no more files, or the client is gone: a moment later there may be one.
    retry.expires_after(kTick);
    retry.async_wait([this](error_code cancelled) {
      if (!cancelled) accept();
    });
  });
}

void HttpServer::State::closed() {
  --open;
  if (!accepting && !stopping) accept();
}

HttpServer::HttpServer(const HttpAddress& address, std::vector<HttpRoute> routes, const HttpLimits& limits)
    : state_(new State(std::move(routes), limits)) {
  error_code error;
  const auto check = [&](const char* what) {
    if (error) throw Failure(fmt::format("{}:{} {}: {}", address.host, address.port, what, error.message()));
  };
  const auto found = tcp::resolver(state_->context).resolve(address.host, std::to_string(address.port), error);
  check("is no address to listen on");
  const tcp::endpoint endpoint = found.begin()->endpoint();
  tcp::acceptor& acceptor = state_->acceptor;
  acceptor.open(endpoint.protocol(), error);
  check("cannot be listened on");
  acceptor.set_option(tcp::acceptor::reuse_address(true), error);  // a server that was just stopped may start again
  acceptor.bind(endpoint, error);
  check("cannot be listened on");
  acceptor.listen(tcp::acceptor::max_listen_connections, error);
  check("cannot be listened on");
}

HttpServer::~HttpServer() { state_->stopping = true; }

std::string HttpServer::url() const {
  const tcp::endpoint endpoint = state_->acceptor.local_endpoint();
  asio::ip::address address = endpoint.address();
  if (address.is_unspecified()) address = own_address(state_->context, address.is_v6());
  const std::string host = address.to_string();
  return fmt::format("http://{}:{}/", address.is_v6() ? "[" + host + "]" : host, endpoint.port());
}

int64_t HttpServer::run(const std::function<bool()>& stopped) {
  const std::function<void(error_code)> look = [&](error_code error) {
    if (error || stopped()) return state_->context.stop();
    state_->tick.expires_after(kTick);
    state_->tick.async_wait(look);
  };
  state_->accept();
  look({});
  state_->context.run();
  return state_->answered;
}

HttpAddress parse_http_address(const std::string& text) {
  HttpAddress result;
  const size_t colon = text.rfind(':');
  std::string port = text;
  if (colon != std::string::npos && text.back() != ']') {
    result.host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (result.host.size() > 2 && result.host.front() == '[' && result.host.back() == ']')
      result.host = result.host.substr(1, result.host.size() - 2);
  }
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), result.port);
  if (result.host.empty() || port.empty() || error != std::errc() || end != port.data() + port.size())
    throw UsageError(
        fmt::format("--serve {} is no [ADDRESS:]PORT; it looks like 8080, 0.0.0.0:8080 or [::1]:8080", text));
  return result;
}

}  // namespace kiln
