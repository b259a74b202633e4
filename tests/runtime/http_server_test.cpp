// The server against clients that are many, slow, broken or gone. --cases N opens N connections at once.
#include "http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <thread>

#include "error.h"
#include "http_client.h"
#include "random.h"
#include "support/case_options.h"
#include "text_predicates.h"

namespace kiln {
namespace {

using std::chrono::milliseconds;

/// A server that echoes, on a thread of its own.
class HttpServerTest : public ::testing::Test {
 protected:
  void start(const HttpLimits& limits = {}) {
    server_.emplace(HttpAddress{},
                    std::vector<HttpRoute>{
                        {"GET", "/",
                         [](const std::string&) -> HttpResponse {
                           return {200, "text/html", "page"};
                         }},
                        {"POST", "/echo",
                         [](const std::string& body) -> HttpResponse {
                           return {200, "text/plain", body};
                         }},
                        {"POST", "/broken", [](const std::string&) -> HttpResponse { throw Failure("no more"); }}},
                    limits);
    port_ = port_of(server_->url());
    running_ = std::async(std::launch::async, [this] { return server_->run([this] { return stop_.load(); }); });
  }
  int64_t stop() {
    stop_ = true;
    return running_.get();
  }
  void TearDown() override {
    if (running_.valid()) stop();
  }

  std::optional<HttpServer> server_;
  std::future<int64_t> running_;
  std::atomic<bool> stop_{false};
  int port_ = 0;
};

int open_files() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

TEST_F(HttpServerTest, AnswersWhatItHasAndNothingElse) {
  start();
  const HttpReply page = http(port_, "GET", "/?a=b");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.body, "page");
  EXPECT_EQ(page.headers.at("content-type"), "text/html");
  EXPECT_PRED2(contains, page.headers.at("content-security-policy"), "default-src 'none'");
  const HttpReply head = http(port_, "HEAD", "/");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), "4");
  EXPECT_EQ(http(port_, "POST", "/echo", "some text").body, "some text");
  for (const char* target : {"/../etc/passwd", "/%2e%2e/etc/passwd", "/index.html", "//", "*", "http://elsewhere/"})
    EXPECT_EQ(http(port_, "GET", target).status, 404) << target;
  EXPECT_EQ(http(port_, "POST", "/", "x").status, 405);
  EXPECT_EQ(http(port_, "POST", "/", "x").headers.at("allow"), "GET, HEAD");
  EXPECT_EQ(http(port_, "GET", "/echo").headers.at("allow"), "POST");
  const HttpReply broken = http(port_, "POST", "/broken");
  EXPECT_EQ(broken.status, 500);
  EXPECT_EQ(broken.body, "no more\n");
  EXPECT_EQ(stop(), 13);
}

TEST_F(HttpServerTest, AConnectionCarriesManyRequests) {
  start();
  HttpConnection connection(port_);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(connection.send(http_request("POST", "/echo", std::to_string(i))));
    EXPECT_EQ(connection.reply().body, std::to_string(i));
  }
  // Several at once, and one byte by byte.
  connection.send(http_request("POST", "/echo", "a") + http_request("GET", "/") + http_request("POST", "/echo", "b"));
  EXPECT_EQ(connection.reply().body, "a");
  EXPECT_EQ(connection.reply().body, "page");
  EXPECT_EQ(connection.reply().body, "b");
  for (const char c : http_request("POST", "/echo", "slowly")) connection.send(std::string(1, c));
  EXPECT_EQ(connection.reply().body, "slowly");
}

TEST_F(HttpServerTest, RequestsThatAreTooLargeAreRefused) {
  start({.header_bytes = 1000, .body_bytes = 5000});
  EXPECT_EQ(http(port_, "POST", "/echo", std::string(5000, 'x')).status, 200);
  EXPECT_EQ(http(port_, "POST", "/echo", std::string(5001, 'x')).status, 413);
  EXPECT_EQ(http(port_, "POST", "/echo", std::string(3'000'000, 'x')).status, 413);
  EXPECT_EQ(http(port_, "GET", "/" + std::string(2000, 'x')).status, 431);
  HttpConnection chunks(port_);
  chunks.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 6; ++i) chunks.send("3e8\r\n" + std::string(1000, 'x') + "\r\n");
  EXPECT_EQ(chunks.reply().status, 413);
  HttpConnection header(port_);
  header.send("GET / HTTP/1.1\r\n");
  for (int i = 0; i < 100; ++i) header.send("X-Header: some value\r\n");
  EXPECT_EQ(header.reply().status, 431);
}

TEST_F(HttpServerTest, BrokenRequestsGetAnAnswerOrNone) {
  start();
  for (const char* request :
       {"nonsense\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "POST /echo HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n",
        "POST /echo HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "\x16\x03\x01\x02\r\n\r\n"}) {
    HttpConnection connection(port_);
    connection.send(request);
    const int status = connection.reply().status;
    EXPECT_TRUE(status == 400 || status == 413) << request << ": " << status;
  }
  // Requests cut off or overwritten anywhere, and bytes without any sense.
  const std::string whole = http_request("POST", "/echo", "body");
  for (uint64_t i = 0; i < 300; ++i) {
    const auto bits = philox(1, i, 0);
    std::string bytes = whole;
    bytes[bits[0] % bytes.size()] = static_cast<char>(bits[1]);
    if (bits[2] % 2 == 0) bytes.resize(bits[3] % bytes.size());
    HttpConnection connection(port_);
    connection.send(bytes);
    if (i % 3 == 0) connection.reset();
  }
  EXPECT_EQ(http(port_, "GET", "/").status, 200);
}

TEST_F(HttpServerTest, SlowClientsLoseTheirConnectionAndDisturbNobody) {
  start({.time = milliseconds(300)});
  HttpConnection silent(port_), dripping(port_), half(port_);
  half.send("POST /echo HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf of i");
  std::thread drips([&] {  // never silent for long, and never done
    while (dripping.send("x")) std::this_thread::sleep_for(milliseconds(20));
  });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(http(port_, "GET", "/").status, 200);
  EXPECT_TRUE(silent.closed_within(milliseconds(3000)));
  EXPECT_TRUE(half.closed_within(milliseconds(3000)));
  drips.join();
}

TEST_F(HttpServerTest, AClientThatDoesNotReadIsLetGo) {
  start({.body_bytes = 1 << 20, .time = milliseconds(300)});
  HttpConnection connection(port_);
  const std::string request = http_request("POST", "/echo", std::string(1 << 20, 'x'));
  bool gone = false;
  for (int i = 0; i < 100 && !gone; ++i) gone = !connection.send(request);  // its answers fill every buffer
  EXPECT_TRUE(gone);
  EXPECT_EQ(http(port_, "GET", "/").status, 200);
}

TEST_F(HttpServerTest, ManyClientsAtOnceAreAllAnswered) {
  start();
  const int clients = static_cast<int>(testing::case_options().cases), before = open_files();
  std::vector<HttpConnection> connections;
  connections.reserve(static_cast<size_t>(clients));
  for (int i = 0; i < clients; ++i) connections.emplace_back(port_);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < clients; ++i)
      ASSERT_TRUE(connections[static_cast<size_t>(i)].send(http_request("POST", "/echo", std::to_string(i))));
    for (int i = 0; i < clients; ++i) EXPECT_EQ(connections[static_cast<size_t>(i)].reply().body, std::to_string(i));
  }
  connections.clear();
  EXPECT_EQ(stop(), 3 * clients);
  server_.reset();
  EXPECT_LE(open_files(), before);
}

TEST_F(HttpServerTest, MoreClientsThanItTakesWaitForTheirTurn) {
  start({.time = milliseconds(500), .connections = 4});
  std::vector<HttpConnection> idle;
  idle.reserve(8);
  for (int i = 0; i < 8; ++i) idle.emplace_back(port_);
  EXPECT_EQ(http(port_, "GET", "/").status, 200);  // once the idle ones' time is up
}

TEST_F(HttpServerTest, APortIsTakenOnce) {
  start();
  try {
    HttpServer second({.host = "127.0.0.1", .port = static_cast<uint16_t>(port_)}, {});
    FAIL();
  } catch (const Failure& error) {
    EXPECT_EQ(error.what(), "127.0.0.1:" + std::to_string(port_) + " cannot be listened on: Address already in use");
  }
}

TEST(HttpAddresses, OfEveryAddressOneThatCanBeOpenedIsTold) {
  for (const char* everywhere : {"0.0.0.0", "::"}) {
    try {
      const std::string url = HttpServer({.host = everywhere, .port = 0}, {}).url();
      const HttpAddress told = parse_http_address(url.substr(7, url.size() - 8));
      EXPECT_NE(told.host, everywhere);
      HttpServer({.host = told.host, .port = 0}, {});  // throws where the address is not this machine's
    } catch (const Failure& error) {
      // A machine may have no IPv6.
      EXPECT_PRED2(contains, std::string(error.what()), "::") << everywhere;
    }
  }
}

TEST(HttpAddresses, AreAPortWithOrWithoutAHost) {
  EXPECT_EQ(parse_http_address("8080").host, "127.0.0.1");
  EXPECT_EQ(parse_http_address("8080").port, 8080);
  EXPECT_EQ(parse_http_address("0.0.0.0:0").host, "0.0.0.0");
  EXPECT_EQ(parse_http_address("[::1]:80").host, "::1");
  EXPECT_EQ(parse_http_address("localhost:80").host, "localhost");
  for (const char* text : {"", "x", ":", ":80", "80:", "70000", "-1", "localhost", "1.2.3.4", "[::1]", "80x"})
    EXPECT_THROW(parse_http_address(text), UsageError) << text;
}

}  // namespace
}  // namespace kiln
