"""Asks a server from many threads, every seventh time something that is no picture.

    c2f-train serve runs/default-1 --port 8099
    python load.py 8099 *.jpg

Says what came back, and the seconds that answers took. Exits with 1 if a request got no answer, or the wrong one. Python's standard library only.
"""

import argparse
import collections
import http.client
import os
import random
import sys
import threading
import time


def ask(port, pictures, end, answers, seconds):
    rng = random.Random(threading.get_ident())
    while time.time() < end:
        chance = rng.random()
        # Noise, a picture that is cut off, or a whole one.
        body = os.urandom(2000) if chance < 0.1 else pictures[0][:500] if chance < 0.15 else rng.choice(pictures)
        expected = (200, 503) if chance >= 0.15 else (400, 503)
        begun = time.time()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("POST", "/", body)
            response = connection.getresponse()
            response.read()
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            answers.append(("no answer", type(error).__name__))
            continue
        answers.append(("right" if response.status in expected else "wrong", response.status))
        if response.status == 200:
            seconds.append(time.time() - begun)
        elif response.status == 503:
            time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    pictures = [open(path, "rb").read() for path in given.pictures]
    answers, seconds, end = [], [], time.time() + given.seconds
    arguments = (given.port, pictures, end, answers, seconds)
    threads = [threading.Thread(target=ask, args=arguments) for _ in range(given.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(dict(collections.Counter(answers)))
    seconds.sort()
    half, most = seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100]
    print(f"{len(seconds) / given.seconds:.0f} pictures a second, p50 {half:.3f} s, p99 {most:.3f} s")
    sys.exit(any(kind != "right" for kind, _ in answers))


main()
