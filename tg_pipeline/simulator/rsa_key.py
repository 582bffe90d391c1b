"""The RSA key with which the simulator signs for itself in handshakes.

Published on purpose: it guards nothing but simulated chats on the loopback interface. A client trusts it by adding
`public_key.pem` (PKCS#1) to its keys, and must never do so in production.
"""

from pathlib import Path

PUBLIC_KEY_PATH = Path(__file__).with_name("public_key.pem")
E = 65537
P = int(
    "f76f15dcafd3d77068c402f6423eaaad09c0fcb7e8cf50ad1c80d67b47e80974"
    "0ea60ebffc4fae9e651f8721eb240a767f162e6556cb8f6f65518f56307bc11c"
    "abc17bdbea2323ce01a22ae200ce92b0fb949157b286b7f7238e42f19d94c46a"
    "d90e28129a407c5affb5d4b862928a5f5c1e3ec88c28596ebe4baf11c5af6b63",
    16,
)
Q = int(
    "ce1b4dfc96d094a4c86eb088e95d7b515191d672da4d63fcc9d9414de120748d"
    "de9f6d68b182864b0324bdadd2d65698cd0290783bd764f70849741c1b076686"
    "acdaad7e5cdef0acbd963f188e058644d478e661abc5b21fe0b7b871a3a97f7a"
    "a8af319e85bcf40787a13a264a807ed9f3a20931a9478bfab920bd093484c637",
    16,
)
N = P * Q
D = pow(E, -1, (P - 1) * (Q - 1))
