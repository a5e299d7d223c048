/*
 * A load client for HTTP/1.1 on loopback, on one thread, so that one processor is enough for it.
 *
 *   load PORT MODE CONNECTIONS REQUESTS SECONDS RATE FILE TURN FIRST_SOURCE SOURCES
 *
 * MODE   keep   each connection sends its next request once the last one was answered
 *        close  the same, with a new connection for each request
 *        rate   RATE requests a second whatever the answers do; a request that had to wait for a
 *               connection is measured from when it was due, so a pause of the server counts for
 *               everyone whom it kept waiting and not only for the requests that were on their way
 * It ends after REQUESTS answers or SECONDS, whichever comes first; 0 is no bound (not both).
 * FILE holds whole requests, each ended by a NUL byte. TURN `source` sends the n-th source the n-th
 * request, `request` sends them in turn. Connections come from SOURCES addresses, counted up from
 * FIRST_SOURCE, in turn.
 *
 * Says one line of JSON: answers, how many of them failed (no 200, or no answer), and latencies.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX 32768
#define CONNECTIONS_MAX 20000
#define FAILED_MAX 10000
#define NS 1000000000ull
/* No answer at all for so long is the end of the measurement. */
#define SILENCE_NS (10 * NS)
/* A sleep may end so much too late; the rest of the wait is spent awake. */
#define AWAKE_NS 60000ull

enum mode { KEEP, CLOSE, RATE };

struct connection {
  int fd;
  uint32_t source;
  int is_waiting; /* for an answer */
  int is_unsent;  /* the socket took nothing yet */
  const char *request;
  size_t request_length;
  uint64_t due;
  size_t held; /* bytes of the answer so far */
  char answer[ANSWER_MAX];
};

static struct {
  uint16_t port;
  enum mode mode;
  uint32_t connections;
  uint64_t requests, duration, rate;
  int by_source;
  uint32_t first_source, sources;
} options;

static char *texts;
static const char **request_at;
static size_t request_count;

static int poll_fd;
static struct connection *all;
static uint32_t *idle;
static uint32_t idle_first, idle_count;
static uint64_t started, sent, answered, failed, last_answer;
static char first_failure[64];

/* 128 steps for each power of two: a value is known to 0.8 %. */
static uint64_t histogram[58 * 128], slowest;

static void die(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "failed");
  exit(1);
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * NS + (uint64_t)time.tv_nsec;
}

static void record(uint64_t ns) {
  const int shift = ns < 128 ? 0 : 56 - __builtin_clzll(ns);
  const size_t step = ns < 128 ? ns : (size_t)shift * 128 + (ns >> shift);
  histogram[step]++;
  if (ns > slowest) slowest = ns;
}

/* The middle of a step, in microseconds. */
static double step_us(size_t step) {
  if (step < 256) return (double)step / 1e3;
  const size_t shift = step / 128 - 1;
  return ((double)(step % 128 + 128) + 0.5) * (double)(1ull << shift) / 1e3;
}

static double quantile(double part) {
  const uint64_t rank = (uint64_t)(part * (double)answered);
  uint64_t seen = 0;
  for (size_t step = 0; step < sizeof histogram / sizeof *histogram; step++) {
    seen += histogram[step];
    if (seen > rank) return step_us(step);
  }
  return (double)slowest / 1e3;
}

static void watch(uint32_t index, int change, uint32_t events) {
  struct epoll_event event = {.events = events, .data.u32 = index};
  if (epoll_ctl(poll_fd, change, all[index].fd, &event) != 0) die("epoll_ctl");
}

static void open_connection(uint32_t index) {
  struct connection *connection = &all[index];
  connection->source = index % options.sources;
  if (options.mode == CLOSE) connection->source = (uint32_t)(sent % options.sources);
  connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (connection->fd < 0) die("socket");
  const int on = 1;
  setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  /* The port is chosen with the connection: otherwise ports run out long before connections do. */
  setsockopt(connection->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  struct sockaddr_in from = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(options.first_source + connection->source)};
  if (bind(connection->fd, (struct sockaddr *)&from, sizeof from) != 0) die("bind");
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons(options.port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(connection->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
    die("connect");
  }
  connection->held = 0;
  watch(index, EPOLL_CTL_ADD, EPOLLIN);
}

static void close_connection(uint32_t index) {
  close(all[index].fd);
  all[index].fd = -1;
}

static int write_request(uint32_t index) {
  struct connection *connection = &all[index];
  const ssize_t wrote =
      send(connection->fd, connection->request, connection->request_length, MSG_NOSIGNAL);
  if (wrote == (ssize_t)connection->request_length) {
    if (connection->is_unsent) watch(index, EPOLL_CTL_MOD, EPOLLIN);
    connection->is_unsent = 0;
    return 0;
  }
  if (wrote >= 0 || errno != EAGAIN) return -1;
  /* Still connecting. */
  if (!connection->is_unsent) watch(index, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
  connection->is_unsent = 1;
  return 0;
}

/* The connection that has rested for longest is used first. */
static void rest(uint32_t index) {
  idle[(idle_first + idle_count++) % options.connections] = index;
}

static void answer_came(uint32_t index, const char *failure);

static void send_request(uint32_t index, uint64_t due) {
  struct connection *connection = &all[index];
  if (connection->fd < 0) open_connection(index);
  const size_t turn = options.by_source ? connection->source : sent;
  connection->request = request_at[turn % request_count];
  connection->request_length = strlen(connection->request);
  connection->due = due;
  connection->held = 0;
  connection->is_unsent = 0;
  connection->is_waiting = 1;
  sent++;
  if (write_request(index) != 0) answer_came(index, strerror(errno));
}

static int is_over(uint64_t at) {
  if (options.duration != 0 && at - started >= options.duration) return 1;
  return options.requests != 0 && answered >= options.requests;
}

static int may_send(void) { return options.requests == 0 || sent < options.requests; }

static void answer_came(uint32_t index, const char *failure) {
  const uint64_t at = now();
  all[index].is_waiting = 0;
  answered++;
  last_answer = at;
  record(at > all[index].due ? at - all[index].due : 0);
  if (failure != NULL) {
    if (failed++ == 0) {
      const int length = (int)strcspn(failure, "\r\n\"\\");
      snprintf(first_failure, sizeof first_failure, "%.*s", length, failure);
    }
    if (failed > FAILED_MAX) {
      errno = 0;
      fprintf(stderr, "load: the first failure was: %s\n", first_failure);
      die("too many failures");
    }
  }
  if (failure != NULL || options.mode == CLOSE) close_connection(index);
  /* Not at once after a failure: a server that is gone must not become a recursion. */
  if (options.mode == RATE || failure != NULL) rest(index);
  else if (may_send()) send_request(index, at);
}

/* The answer's length once its head is there; 0 until then. */
static size_t answer_length(const struct connection *connection) {
  const char *end = memmem(connection->answer, connection->held, "\r\n\r\n", 4);
  if (end == NULL) return 0;
  const size_t head = (size_t)(end - connection->answer) + 4;
  for (const char *line = connection->answer; line < end; line++) {
    if (strncasecmp(line, "\ncontent-length:", 16) == 0) return head + strtoul(line + 16, NULL, 10);
  }
  return head;
}

static void read_answer(uint32_t index) {
  struct connection *connection = &all[index];
  const ssize_t got =
      recv(connection->fd, connection->answer + connection->held, ANSWER_MAX - 1 - connection->held, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    /* An idle connection may be closed by the server; the next request opens a new one. */
    answer_came(index, got < 0 ? strerror(errno) : "closed without an answer");
    return;
  }
  connection->held += (size_t)got;
  connection->answer[connection->held] = '\0';
  const size_t length = answer_length(connection);
  if (length == 0 && connection->held < ANSWER_MAX - 1) return;
  if (connection->held < length && length < ANSWER_MAX) return;
  if (connection->held != length) answer_came(index, "an answer of another length");
  else if (strncmp(connection->answer, "HTTP/1.1 200", 12) != 0) answer_came(index, connection->answer);
  else answer_came(index, NULL);
}

static void send_what_is_due(uint64_t at) {
  while (idle_count > 0 && may_send()) {
    const uint64_t due = options.mode == RATE ? started + sent * NS / options.rate : at;
    if (due > at) return;
    const uint32_t index = idle[idle_first];
    idle_first = (idle_first + 1) % options.connections;
    idle_count--;
    send_request(index, due);
  }
}

/* How long to sleep until the next request is due. */
static uint64_t sleep_ns(uint64_t at) {
  if (options.mode != RATE || idle_count == 0 || !may_send()) return 100000000;
  const uint64_t due = started + sent * NS / options.rate;
  return due > at + AWAKE_NS ? due - at - AWAKE_NS : 0;
}

static void run(void) {
  struct epoll_event events[256];
  started = last_answer = now();
  for (uint64_t at = started; !is_over(at); at = now()) {
    send_what_is_due(at);
    if (at > last_answer + SILENCE_NS) {
      errno = ETIMEDOUT;
      die("no answer");
    }
    const uint64_t ns = sleep_ns(at);
    const struct timespec wait = {.tv_sec = (time_t)(ns / NS), .tv_nsec = (long)(ns % NS)};
    const int count = epoll_pwait2(poll_fd, events, 256, &wait, NULL);
    if (count < 0 && errno != EINTR) die("epoll_pwait2");
    for (int i = 0; i < count; i++) {
      const uint32_t index = events[i].data.u32;
      if (all[index].fd < 0) continue;
      if (!all[index].is_waiting) close_connection(index);
      else if (all[index].is_unsent) {
        if (write_request(index) != 0) answer_came(index, strerror(errno));
      } else {
        read_answer(index);
      }
    }
  }
}

static void read_requests(const char *path) {
  const int fd = open(path, O_RDONLY);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) die(path);
  texts = malloc((size_t)status.st_size + 1);
  if (texts == NULL || read(fd, texts, (size_t)status.st_size) != status.st_size) die(path);
  close(fd);
  texts[status.st_size] = '\0';
  const char *end = texts + status.st_size;
  for (const char *at = texts; at < end; at += strlen(at) + 1) request_count++;
  request_at = calloc(request_count + 1, sizeof *request_at);
  if (request_at == NULL || request_count == 0) die("no requests");
  size_t index = 0;
  for (const char *at = texts; at < end; at += strlen(at) + 1) request_at[index++] = at;
}

int main(int count, char **argv) {
  if (count != 11) {
    fprintf(stderr, "see load.c for the parameters\n");
    return 2;
  }
  options.port = (uint16_t)atoi(argv[1]);
  options.mode = strcmp(argv[2], "rate") == 0 ? RATE : strcmp(argv[2], "close") == 0 ? CLOSE : KEEP;
  options.connections = (uint32_t)atoi(argv[3]);
  options.requests = strtoull(argv[4], NULL, 10);
  options.duration = (uint64_t)(atof(argv[5]) * (double)NS);
  options.rate = strtoull(argv[6], NULL, 10);
  options.by_source = strcmp(argv[8], "source") == 0;
  struct in_addr source;
  if (inet_pton(AF_INET, argv[9], &source) != 1) die("FIRST_SOURCE");
  options.first_source = ntohl(source.s_addr);
  options.sources = (uint32_t)atoi(argv[10]);
  const int is_bounded = options.requests != 0 || options.duration != 0;
  if (!is_bounded || options.connections == 0 || options.connections > CONNECTIONS_MAX ||
      options.sources == 0 || (options.mode == RATE && options.rate == 0)) {
    fprintf(stderr, "load: out of bounds; see load.c\n");
    return 2;
  }
  read_requests(argv[7]);

  prctl(PR_SET_TIMERSLACK, 1);
  /* Before the feed, always, which runs on the same processor. Without the right to it, as it is. */
  const struct sched_param first = {.sched_priority = 1};
  sched_setscheduler(0, SCHED_FIFO, &first);
  poll_fd = epoll_create1(0);
  all = calloc(options.connections, sizeof *all);
  idle = calloc(options.connections, sizeof *idle);
  if (poll_fd < 0 || all == NULL || idle == NULL) die("no memory");
  for (uint32_t index = 0; index < options.connections; index++) {
    all[index].fd = -1;
    if (options.mode != CLOSE) open_connection(index);
    rest(index);
  }
  run();

  const double seconds = (double)(now() - started) / 1e9;
  printf("{\"answers\":%llu,\"failed\":%llu,\"firstFailure\":\"%s\",\"seconds\":%.6f,"
         "\"perSecond\":%.1f,\"p50Us\":%.1f,\"p99Us\":%.1f,\"p999Us\":%.1f,\"maxUs\":%.1f}\n",
         (unsigned long long)answered, (unsigned long long)failed, first_failure, seconds,
         (double)answered / seconds, quantile(0.5), quantile(0.99), quantile(0.999),
         (double)slowest / 1e3);
  return 0;
}
